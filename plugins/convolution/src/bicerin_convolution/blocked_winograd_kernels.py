"""Winograd's convolution of arrays whose channels are in blocks of a vector: 36 products of matrices.

A vector holds as many channels of one pixel, so that tiles are transformed without being packed, and what the
transforms write is what the products read:

    patches   (36, tiles, G * C)                     tiles in the order of rows
    weights   (G, panels, 36, C, VECTORS * lanes)
    products  (36, tiles of a group, VECTORS * lanes), of one thread

Of the gradient of the weights, where the sum runs over tiles:

    patches   (36, G * C / lanes, tiles, lanes)
    gradients (36, G, panels, tiles, VECTORS * lanes)
    products  (36, channels of a chunk, VECTORS * lanes), of one thread

The places of the 36 are a vector further apart than that: places that are a power of two apart would evict each other
from the cache.
"""

from __future__ import annotations

import numpy as np

from bicerin.kernels import kernel, part, spread
from bicerin.kernels.panel import ROWS, VECTOR_BYTES, VECTORS, multiply
from bicerin_convolution.packing_kernels import DEPTH
from bicerin_convolution.winograd_transforms import (
    PATCH,
    kernel_gradient_3,
    kernel_gradient_5,
    transform_blocked_gradient_2,
    transform_blocked_gradient_4,
    transform_blocked_input,
    transform_blocked_output_2,
    transform_blocked_output_4,
    transform_kernel_3,
    transform_kernel_5,
)

POINTS = PATCH * PATCH
#: Blocks of channels of a row of tiles that a thread transforms at a time.
BLOCKS = 4
#: Channels whose gradients a thread sums up at a time, at least a block of them.
CHUNK = 16


def panels_of(blocks: int) -> int:
    """Into how many panels the blocks of a group's outputs are divided, evenly."""
    return -(-blocks // VECTORS)


def patches_size(tiles: int, channels: int, lanes: int) -> int:
    """Elements that so many transformed tiles take. The products read whole ROWS of them."""
    return POINTS * (-(-tiles // ROWS) * ROWS * channels + lanes)


def products_size(group: int, lanes: int) -> int:
    """Elements of scratch that a thread needs for the products of a group of tiles."""
    return POINTS * (group * VECTORS * lanes + lanes)


def weights_size(groups: int, blocks: int, channels: int, lanes: int) -> int:
    """Elements of the transformed weights."""
    return groups * panels_of(blocks) * POINTS * (channels * VECTORS * lanes + lanes)


@part
def place_of(unit, blocks, first, tile_rows):  # type: ignore[no-untyped-def]
    """A unit of a transform: its row of tiles, counted from `first`, and its first block; its image, and row there."""
    portions = -(-blocks // BLOCKS)
    row = unit // portions
    return row, unit % portions * BLOCKS, (first + row) // tile_rows, (first + row) % tile_rows


@part
def transform_blocks(  # type: ignore[no-untyped-def]
    unit, worker, x, rows, columns, plane, zeros, blocks, first, patches, point, tile_step, block_step
):
    """A few blocks of channels of one row of tiles."""
    tile_columns = columns.size // PATCH
    row, block, image, tile_row = place_of(unit, blocks, first, rows.size // PATCH)
    for b in range(block, min(block + BLOCKS, blocks)):
        at = (image * blocks + b) * plane
        for column in range(tile_columns):
            target = (row * tile_columns + column) * tile_step + b * block_step
            transform_blocked_input(
                x, at, rows, tile_row * PATCH, columns, column * PATCH, zeros, patches, target, point
            )


@part
def multiply_group(  # type: ignore[no-untyped-def]
    unit, worker, patches, point, weights, groups, depth, blocks, shift, slope, addend, adds, zeros, y, height, width,
    tile, first, tiles, size, scratch,
):  # fmt: skip
    """The products of a group of tiles with one panel of outputs, transformed back and finished."""
    lanes = VECTOR_BYTES // y.itemsize
    line = VECTORS * lanes
    panels = -(-blocks // VECTORS)
    parts = -(-tiles // size)
    panel, group, first_tile = unit // parts % panels, unit // parts // panels, unit % parts * size
    begin, end = panel * blocks // panels, (panel + 1) * blocks // panels
    last_tile = min(first_tile + size, tiles)
    products = scratch[worker]
    product = size * line + lanes
    step = depth * line + lanes
    for f in range(POINTS):
        weights_at = ((group * panels + panel) * POINTS + f) * step
        for c in range(0, depth, DEPTH):
            for t in range(first_tile, last_tile, ROWS):
                multiply(
                    patches, f * point + (t * groups + group) * depth + c, groups * depth, 1,
                    weights, weights_at + c * line, min(DEPTH, depth - c),
                    products, f * product + (t - first_tile) * line, line, end - begin, c > 0,
                )  # fmt: skip
    tile_columns, tile_rows = -(-width // tile), -(-height // tile)
    plane = height * width * lanes
    for t in range(first_tile, last_tile):
        row, left = first + t // tile_columns, t % tile_columns * tile
        image, top = row // tile_rows, row % tile_rows * tile
        for block in range(begin, end):
            source = (t - first_tile) * line + (block - begin) * lanes
            channels = group * blocks + block
            target = (image * groups * blocks + channels) * plane + (top * width + left) * lanes
            if tile == 4:
                transform_blocked_output_4(
                    products, source, product, shift, channels * lanes, slope, addend, adds,
                    zeros, y, target, width * lanes, height - top, width - left,
                )  # fmt: skip
            else:
                transform_blocked_output_2(
                    products, source, product, shift, channels * lanes, slope, addend, adds,
                    zeros, y, target, width * lanes, height - top, width - left,
                )  # fmt: skip


@kernel()
def convolve_blocked(  # type: ignore[no-untyped-def]
    x, rows, columns, plane, zeros, weights, sizes, shift, slope, addend, adds, y, scope, patches, scratch
):
    """y = f(weights * x + shift + addend), all of them flat, with channels in blocks of a vector.

    Args:
        x: `(N, G * C / lanes, H, W, lanes)`.
        rows: for each row of tiles, the places of its 6 rows of pixels in a plane of x; -1 is padding.
        columns: for each column of tiles, the places of its 6 columns in a row; -1 is padding.
        plane: elements of a plane of x.
        zeros: of a block.
        weights: of `transform_blocked_weights`.
        sizes: N, G, C, M, H', W', and the side of an output tile, 4 or 2; C and M are whole blocks.
        shift: of each channel of y.
        slope: f(v) = v where v > 0, else slope * v.
        addend: in the order of y; counts only where `adds` is true.
        y: `(N, G * M / lanes, H', W', lanes)`.
        scope: rows of tiles that are transformed together; tiles that a thread multiplies at a time, a multiple of
            ROWS; and how many threads.
        patches: of `patches_size` elements.
        scratch: a line of `products_size` elements for each thread.
    """
    images, groups, depth, outputs, height, width, tile = sizes
    some, group, workers = scope
    lanes = VECTOR_BYTES // x.itemsize
    blocks = outputs // lanes
    tile_columns = columns.size // PATCH
    point = patches.size // POINTS
    total = images * (rows.size // PATCH)
    channel_blocks = groups * depth // lanes
    for first in range(0, total, some):
        those = min(some, total - first)
        spread(
            transform_blocks, those * -(-channel_blocks // BLOCKS), workers,
            (x, rows, columns, plane, zeros, channel_blocks, first, patches, point, groups * depth, lanes),
        )  # fmt: skip
        tiles = those * tile_columns
        spread(
            multiply_group, groups * -(-blocks // VECTORS) * -(-tiles // group), workers,
            (patches, point, weights, groups, depth, blocks, shift, slope, addend, adds, zeros, y, height, width, tile,
             first, tiles, group, scratch),
        )  # fmt: skip


@part
def transform_panel(unit, worker, w, turned, depth, packed, scratch):  # type: ignore[no-untyped-def]
    """One panel of outputs, a line of kernels at a time."""
    lanes = VECTOR_BYTES // w.itemsize
    line = VECTORS * lanes
    size = w.shape[3]
    outputs, channels = (w.shape[2], w.shape[1]) if turned else (w.shape[1], w.shape[2])
    blocks = -(-outputs // lanes)
    panels = -(-blocks // VECTORS)
    panel, group = unit % panels, unit // panels
    begin, end = panel * blocks // panels * lanes, (panel + 1) * blocks // panels * lanes
    kernels = scratch[worker]
    step = depth * line + lanes
    for c in range(depth):
        for m in range(begin, end):
            for tap in range(size):
                if m >= outputs or c >= channels:
                    kernels[tap * line + m - begin] = 0
                elif turned:
                    kernels[tap * line + m - begin] = w[group, c, m, size - 1 - tap]
                else:
                    kernels[tap * line + m - begin] = w[group, m, c, tap]
        at = unit * POINTS * step + c * line
        for k in range(0, end - begin, lanes):
            if size == 9:
                transform_kernel_3(kernels, k, 3 * line, line, packed, at + k, step)
            else:
                transform_kernel_5(kernels, k, 5 * line, line, packed, at + k, step)


@kernel()
def transform_blocked_weights(w, turned, depth, packed, scratch):  # type: ignore[no-untyped-def]
    """G w G^T, as `convolve_blocked` reads it.

    Args:
        w: `(G, M, C, 9 or 25)`; or `(G, C, M, ...)` if it is turned, and then each kernel rotated by 180 degrees.
        depth: C in whole blocks.
        packed: of `weights_size` elements.
        scratch: a line of 25 panels' lines for each thread.
    """
    lanes = VECTOR_BYTES // w.itemsize
    outputs = w.shape[2] if turned else w.shape[1]
    blocks = -(-outputs // lanes)
    spread(transform_panel, w.shape[0] * -(-blocks // VECTORS), scratch.shape[0], (w, turned, depth, packed, scratch))


def gradients_size(tiles: int, groups: int, blocks: int, lanes: int) -> int:
    """Elements that the transformed gradients of so many tiles take."""
    return POINTS * (groups * panels_of(blocks) * tiles * VECTORS * lanes + lanes)


def chunk_of(lanes: int) -> int:
    """Channels of a chunk: whole blocks."""
    return max(lanes, CHUNK)


def sums_size(lanes: int) -> int:
    """Elements of scratch that a thread needs for the gradients of a chunk of channels, and for kernels."""
    return POINTS * (chunk_of(lanes) * VECTORS * lanes + lanes) + (25 + 1) * VECTORS * lanes


@part
def transform_gradients(  # type: ignore[no-untyped-def]
    unit, worker, dy, rows, columns, plane, zeros, places, groups, blocks, tile, first, tiles, gradients, point
):
    """A few blocks of outputs of one row of tiles."""
    line = VECTORS * (VECTOR_BYTES // dy.itemsize)
    all_blocks = groups * blocks
    panels = -(-blocks // VECTORS)
    tile_columns = columns.size // tile
    row, block, image, tile_row = place_of(unit, all_blocks, first, rows.size // tile)
    for b in range(block, min(block + BLOCKS, all_blocks)):
        at = (image * all_blocks + b) * plane
        panel = b // blocks * panels + places[b % blocks] // VECTORS
        base = (panel * tiles + row * tile_columns) * line + places[b % blocks] % VECTORS * (line // VECTORS)
        for column in range(tile_columns):
            target = base + column * line
            if tile == 4:
                transform_blocked_gradient_4(
                    dy, at, rows, tile_row * 4, columns, column * 4, zeros, gradients, target, point
                )
            else:
                transform_blocked_gradient_2(
                    dy, at, rows, tile_row * 2, columns, column * 2, zeros, gradients, target, point
                )


@part
def multiply_chunk(  # type: ignore[no-untyped-def]
    unit, worker, patches, point, gradients, gradient_point, groups, depth, blocks, tiles, dw, scratch
):
    """Add the gradient of the weights between a chunk of channels and a panel of outputs."""
    lanes = VECTOR_BYTES // patches.itemsize
    line = VECTORS * lanes
    size = dw.shape[3]
    outputs, channels = dw.shape[1:3]
    chunk = max(lanes, CHUNK)
    chunks = -(-depth // chunk)
    panels = -(-blocks // VECTORS)
    first_channel, panel, group = unit % chunks * chunk, unit // chunks % panels, unit // chunks // panels
    begin, end = panel * blocks // panels, (panel + 1) * blocks // panels
    sums = scratch[worker]
    sum_point = chunk * line + lanes
    kernels = sums[POINTS * sum_point :]
    those = min(chunk, depth - first_channel)
    gradient_at = (group * panels + panel) * tiles * line
    for f in range(POINTS):
        for t in range(0, tiles, DEPTH):
            for c in range(0, those, ROWS):
                channel = group * depth + first_channel + c
                patch_at = f * point + (channel // lanes * tiles + t) * lanes + channel % lanes
                multiply(
                    patches, patch_at, 1, lanes, gradients, f * gradient_point + gradient_at + t * line,
                    min(DEPTH, tiles - t), sums, f * sum_point + c * line, line, end - begin, t > 0,
                )  # fmt: skip
    last_output = min(end * lanes, outputs)
    for c in range(min(those, channels - first_channel)):
        for k in range(0, (end - begin) * lanes, lanes):
            if size == 9:
                kernel_gradient_3(sums, c * line + k, PATCH * sum_point, sum_point, kernels, k, line)
            else:
                kernel_gradient_5(sums, c * line + k, PATCH * sum_point, sum_point, kernels, k, line)
        for m in range(begin * lanes, last_output):
            for tap in range(size):
                dw[group, m, first_channel + c, tap] += kernels[tap * line + m - begin * lanes]


@kernel()
def add_blocked_gradient(  # type: ignore[no-untyped-def]
    x,
    rows,
    columns,
    plane,
    zeros,
    dy,
    out_rows,
    out_columns,
    out_plane,
    places,
    dw,
    sizes,
    some,
    patches,
    gradients,
    scratch,
):
    """Add the gradient of the weights, `(G, M, C, 9 or 25)`.

    Args:
        x, rows, columns, plane, zeros: as of `convolve_blocked`.
        dy: the gradient of its y; `out_rows`, `out_columns` and `out_plane` are the places of its tiles, of 4 or 2
            pixels each way, as those of x.
        places: of each block of a group's outputs its panel, times VECTORS, and its place there.
        sizes: N, G, C, M, and the side of an output tile; C and M are whole blocks.
        some: rows of tiles that are transformed together.
        patches: of `patches_size` elements.
        gradients: of `gradients_size` elements.
        scratch: a line of `sums_size` elements for each thread.
    """
    images, groups, depth, outputs, tile = sizes
    workers = scratch.shape[0]
    lanes = VECTOR_BYTES // x.itemsize
    blocks = outputs // lanes
    tile_columns = columns.size // PATCH
    total = images * (rows.size // PATCH)
    point, gradient_point = patches.size // POINTS, gradients.size // POINTS
    channel_blocks = groups * depth // lanes
    for first in range(0, total, some):
        those = min(some, total - first)
        tiles = those * tile_columns
        spread(
            transform_blocks, those * -(-channel_blocks // BLOCKS), workers,
            (x, rows, columns, plane, zeros, channel_blocks, first, patches, point, lanes, tiles * lanes),
        )  # fmt: skip
        spread(
            transform_gradients, those * -(-groups * blocks // BLOCKS), workers,
            (dy, out_rows, out_columns, out_plane, zeros, places, groups, blocks, tile, first, tiles, gradients,
             gradient_point),
        )  # fmt: skip
        spread(
            multiply_chunk, groups * -(-blocks // VECTORS) * -(-depth // max(lanes, CHUNK)), workers,
            (patches, point, gradients, gradient_point, groups, depth, blocks, tiles, dw, scratch),
        )  # fmt: skip


@part
def add_block(unit, worker, dy, images, blocks, plane, bias_diff):  # type: ignore[no-untyped-def]
    """The sums of one block of channels."""
    lanes = VECTOR_BYTES // dy.itemsize
    sums = np.zeros(lanes, dy.dtype)
    for image in range(images):
        at = (image * blocks + unit) * plane
        for pixel in range(at, at + plane, lanes):
            for k in range(lanes):
                sums[k] += dy[pixel + k]
    for k in range(min(lanes, bias_diff.size - unit * lanes)):
        bias_diff[unit * lanes + k] += sums[k]


@kernel()
def add_blocked_bias_gradient(dy, images, plane, bias_diff, workers):  # type: ignore[no-untyped-def]
    """Add the sum of the pixels of each channel of dy, `(N, blocks, plane)`."""
    blocks = dy.size // (images * plane)
    spread(add_block, blocks, workers, (dy, images, blocks, plane, bias_diff))
