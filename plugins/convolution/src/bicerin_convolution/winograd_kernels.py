"""Winograd's convolution over blocks of tiles: 36 products of matrices on what `winograd_transforms` makes."""

from __future__ import annotations

import numpy as np

from bicerin.kernels import kernel, part, spread
from bicerin.kernels.panel import LINE_BYTES, ROWS, VECTOR_BYTES, VECTORS, copy_line, multiply, transpose
from bicerin_convolution.packing_kernels import DEPTH, pack_line, segments
from bicerin_convolution.winograd_transforms import (
    PATCH,
    transform_input,
    transform_kernel_3,
    transform_kernel_5,
    transform_output_2,
    transform_output_4,
)

POINTS = PATCH * PATCH
#: Panels of outputs in a bundle, whose products are transformed back together.
OUTPUT_PANELS = 4
#: Channels whose kernels are transformed together: whole vectors, for every size of a vector.
CHANNELS = 8


@part
def transform_chunk(unit, worker, w, turned, packed, scratch):  # type: ignore[no-untyped-def]
    """A chunk of the channels of one panel of one group."""
    first, second, size = w.shape[1:]
    side = 3 if size == 9 else 5
    outputs, channels = (second, first) if turned else (first, second)
    output_step, channel_step = (size, second * size) if turned else (second * size, size)
    panels, point = packed.shape[1] * OUTPUT_PANELS, packed.shape[3]
    room = point // (OUTPUT_PANELS * ROWS)
    lanes = VECTOR_BYTES // w.itemsize
    line = CHANNELS * ROWS
    flat, flat_packed = w.reshape(-1), packed.reshape(-1)
    chunks = -(-channels // CHANNELS)
    kernels = scratch[worker]
    # In the order in which w lies.
    if turned:
        panel, c0, group = unit % panels, unit // panels % chunks * CHANNELS, unit // panels // chunks
    else:
        c0, panel, group = unit % chunks * CHANNELS, unit // chunks % panels, unit // chunks // panels
    rows = max(0, min(ROWS, outputs - panel * ROWS))
    if rows < ROWS:
        kernels[:] = 0
    for c in range(c0, min(c0 + CHANNELS, channels)):
        at = group * outputs * channels * size + panel * ROWS * output_step + c * channel_step
        target = (c - c0) * ROWS
        if rows == ROWS and at + (ROWS - 1) * output_step + size + lanes <= flat.size:
            for t in range(0, size, lanes):
                transpose(flat, at + t, output_step, kernels, target + t * line, line)
        else:
            for row in range(rows):
                for t in range(size):
                    kernels[target + t * line + row] = flat[at + row * output_step + t]
    first_tap, tap = ((size - 1) * line, -line) if turned else (0, line)
    base = (group * packed.shape[1] + panel // OUTPUT_PANELS) * POINTS * point
    base += (panel % OUTPUT_PANELS * room + c0) * ROWS
    for k in range(0, CHANNELS * ROWS, lanes):
        if side == 3:
            transform_kernel_3(kernels, first_tap + k, 3 * tap, tap, flat_packed, base + k, point)
        else:
            transform_kernel_5(kernels, first_tap + k, 5 * tap, tap, flat_packed, base + k, point)


@kernel()
def transform_weights(w, turned, packed, scratch):  # type: ignore[no-untyped-def]
    """G w G^T as panels `(OUTPUT_PANELS, C, ROWS)`, in the order of their use.

    Args:
        w: `(G, M, C, 9 or 25)`; or `(G, C, M, ...)` if it is turned, and then each kernel rotated by 180 degrees.
        packed: `(G, bundles, 36, weight_point)`.
        scratch: a line of `kernel_scratch_size` elements for each thread.
    """
    channels = w.shape[1] if turned else w.shape[2]
    units = packed.shape[0] * packed.shape[1] * OUTPUT_PANELS * -(-channels // CHANNELS)
    spread(transform_chunk, units, scratch.shape[0], (w, turned, packed, scratch))


def weight_point(channels: int, itemsize: int) -> int:
    """Elements from one of a transformed kernel's 36 points to the next.

    A vector more than the panels take, here as elsewhere: 36 places that are a power of two apart would evict each
    other from the cache.
    """
    return OUTPUT_PANELS * -(-channels // CHANNELS) * CHANNELS * ROWS + VECTOR_BYTES // itemsize


def kernel_scratch_size(itemsize: int) -> int:
    """Elements of scratch that `transform_weights` needs for one thread."""
    return (25 + VECTOR_BYTES // itemsize) * CHANNELS * ROWS


@part
def convolve_block(  # type: ignore[no-untyped-def]
    unit, worker, x, rows, pad, weights, finish, y, tile, block, parts, scratch
):
    """One part of the outputs at one block of tiles."""
    width = LINE_BYTES // x.itemsize
    lanes = VECTOR_BYTES // x.itemsize
    images, channels, row_count, row_width = x.shape
    groups, bundles = weights.shape[:2]
    weight_step = weights.shape[3]
    room = weight_step // (OUTPUT_PANELS * ROWS)
    channels //= groups
    outputs = y.shape[1] // groups
    out_height, out_width = y.shape[2:]
    tile_rows, tile_columns = rows.shape[1], -(-out_width // tile)
    flat_x = x.reshape(-1)
    flat_y = y.reshape(-1)
    flat_weights = weights.reshape(-1)
    line = block * width
    total = images * tile_rows * tile_columns
    part_bundles = -(-bundles // parts)
    patch_line = PATCH * line + 2 * lanes
    product_step = OUTPUT_PANELS * ROWS * width + lanes
    input_step = channels * width + lanes
    column_step = POINTS * input_step
    table = np.empty((line, 5), np.intp)
    patch_table = np.empty((line, 5), np.intp)
    starts = np.zeros(line, np.intp)
    mine = scratch[worker]
    patches = mine[: PATCH * patch_line]
    transformed = mine[PATCH * patch_line : PATCH * patch_line + block * column_step]
    products = mine[PATCH * patch_line + block * column_step :]
    tiles = products[POINTS * product_step :]
    part = unit % parts
    group = unit // parts % groups
    first = unit // parts // groups * line
    last = min(first + line, total)
    used = -(-(last - first) // width)
    count = segments(first, last, tile_rows, tile_columns, line, 0, table)
    at = 0
    for piece in range(count):
        patch_table[piece, 0] = table[piece, 0]
        patch_table[piece, 1] = table[piece, 1]
        patch_table[piece, 2] = table[piece, 2] * tile
        patch_table[piece, 3] = table[piece, 3] * tile + PATCH - tile
        patch_table[piece, 4] = at
        for k in range(table[piece, 3]):
            starts[table[piece, 4] + k] = at + k * tile
        at += patch_table[piece, 3]
    for c in range(channels):
        base = (group * channels + c) * row_count * row_width
        for i in range(PATCH):
            pack_line(
                flat_x, groups * channels * row_count * row_width, base, row_width, rows, i, -pad, 1,
                patch_table, count, patches, i * patch_line,
            )  # fmt: skip
        for column in range(used):
            for k in range(0, width, lanes):
                transform_input(
                    patches, patch_line, starts, column * width + k,
                    transformed, column * column_step + c * width + k, input_step,
                )  # fmt: skip
    for bundle in range(part * part_bundles, min((part + 1) * part_bundles, bundles)):
        first_output = bundle * OUTPUT_PANELS * ROWS
        those = min(OUTPUT_PANELS * ROWS, outputs - first_output)
        weights_at = (group * bundles + bundle) * POINTS * weight_step
        for column in range(used):
            vectors = min(VECTORS, -(-(last - first - column * width) // lanes))
            for f in range(POINTS):
                for c0 in range(0, channels, DEPTH):
                    for panel in range(-(-those // ROWS)):
                        multiply(
                            flat_weights,
                            weights_at + f * weight_step + (panel * room + c0) * ROWS, 1, ROWS,
                            transformed, column * column_step + f * input_step + c0 * width,
                            min(DEPTH, channels - c0), products, f * product_step + panel * ROWS * width, width,
                            vectors, c0 > 0,
                        )  # fmt: skip
            for row in range(those):
                out = group * outputs + first_output + row
                for k in range(0, vectors * lanes, lanes):
                    at = row * width + k
                    if tile == 4:
                        transform_output_4(products, at, product_step, tiles, 4 * k, 4 * width)
                    else:
                        transform_output_2(products, at, product_step, tiles, 2 * k, 2 * width)
                scale, shift, slope = finish[0, out], finish[1, out], finish[2, out]
                for piece in range(count):
                    # The tiles of a piece that are in this panel.
                    start = max(table[piece, 4], column * width)
                    stop = min(table[piece, 4] + table[piece, 3], (column + 1) * width)
                    if start >= stop:
                        continue
                    left = (table[piece, 2] + start - table[piece, 4]) * tile
                    length = min((stop - start) * tile, out_width - left)
                    top = table[piece, 1] * tile
                    target = ((table[piece, 0] * groups * outputs + out) * out_height + top) * out_width + left
                    for i in range(min(tile, out_height - top)):
                        copy_line(
                            tiles, (i * width + start - column * width) * tile, scale, shift, slope,
                            flat_y, target + i * out_width, length,
                        )  # fmt: skip


@kernel()
def convolve_tiles(x, rows, pad, weights, finish, y, tile, block, parts, scratch):  # type: ignore[no-untyped-def]
    """y = weights * x, finished.

    Args:
        x: `(N, G * C, H, W)`, contiguous.
        rows: `(6, tile rows)`, the input row that is row i of each row of tiles; -1 is padding.
        pad: columns of padding on the left.
        weights: of `transform_weights`.
        y: `(N, G * M, H', W')`.
        tile: side of an output tile, 4 or 2.
        block: panels of tiles that are transformed together.
        parts: into how many parts the outputs are split, to give every thread work.
        scratch: one line of elements per thread, of `tile_scratch_size`.
    """
    tiles = x.shape[0] * rows.shape[1] * -(-y.shape[3] // tile)
    blocks = -(-tiles // (block * (LINE_BYTES // x.itemsize)))
    spread(
        convolve_block,
        weights.shape[0] * blocks * parts,
        scratch.shape[0],
        (x, rows, pad, weights, finish, y, tile, block, parts, scratch),
    )


def tile_scratch_size(block: int, channels: int, itemsize: int) -> int:
    """Elements of scratch that `convolve_tiles` needs for one thread."""
    width = LINE_BYTES // itemsize
    lanes = VECTOR_BYTES // itemsize
    line = block * width
    patches = PATCH * (PATCH * line + 2 * lanes)
    transformed = POINTS * block * (channels * width + lanes)
    products = POINTS * (OUTPUT_PANELS * ROWS * width + lanes)
    return patches + transformed + products + 4 * 4 * width + lanes
