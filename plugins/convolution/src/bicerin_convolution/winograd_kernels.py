"""Winograd's convolution over blocks of tiles: 36 products of matrices on what `winograd_transforms` makes."""

from __future__ import annotations

import numpy as np

from bicerin.kernels import kernel, prange
from bicerin.panel import LINE_BYTES, ROWS, VECTOR_BYTES, VECTORS, copy_line, multiply, transpose
from bicerin_convolution.gemm_kernels import DEPTH, pack_line, segments
from bicerin_convolution.winograd_transforms import PATCH, TILE, transform_input, transform_kernel, transform_output

POINTS = PATCH * PATCH
#: Panels of outputs in a bundle, whose products are transformed back together.
OUTPUT_PANELS = 4
#: Channels whose kernels are transformed together: whole vectors, for every size of a vector.
CHANNELS = 8


@kernel(parallel=True)
def transform_weights(w, turned, packed, scratch):  # type: ignore[no-untyped-def]
    """G w G^T as panels `(G, bundles, 36, OUTPUT_PANELS, C, ROWS)`, in the order of their use.

    Args:
        w: `(G, M, C, 9)`; or `(G, C, M, 9)` if it is turned, and then each kernel half around.
        packed: its C is rounded up to `CHANNELS`.
        scratch: a line of `kernel_scratch_size` elements for each thread.
    """
    groups, first, second, _ = w.shape
    outputs, channels = (second, first) if turned else (first, second)
    output_step, channel_step = (9, second * 9) if turned else (second * 9, 9)
    panels, room = packed.shape[1] * OUTPUT_PANELS, packed.shape[4]
    lanes = VECTOR_BYTES // w.itemsize
    line = CHANNELS * ROWS
    point = OUTPUT_PANELS * room * ROWS
    flat, flat_packed = w.reshape(-1), packed.reshape(-1)
    workers = scratch.shape[0]
    for worker in prange(workers):
        kernels = scratch[worker]
        for unit in range(worker, groups * panels, workers):
            group, panel = unit // panels, unit % panels
            rows = max(0, min(ROWS, outputs - panel * ROWS))
            if rows < ROWS:
                kernels[:] = 0
            for c0 in range(0, channels, CHANNELS):
                for c in range(c0, min(c0 + CHANNELS, channels)):
                    at = group * outputs * channels * 9 + panel * ROWS * output_step + c * channel_step
                    target = (c - c0) * ROWS
                    if rows == ROWS and at + (ROWS - 1) * output_step + 9 + lanes <= flat.size:
                        for t in range(0, 9, lanes):
                            transpose(flat, at + t, output_step, kernels, target + t * line, line)
                    else:
                        for row in range(rows):
                            for t in range(9):
                                kernels[target + t * line + row] = flat[at + row * output_step + t]
                first_tap, tap = (8 * line, -line) if turned else (0, line)
                base = (group * packed.shape[1] + panel // OUTPUT_PANELS) * POINTS * point
                base += (panel % OUTPUT_PANELS * room + c0) * ROWS
                for k in range(0, min(CHANNELS, room - c0) * ROWS, lanes):
                    transform_kernel(kernels, first_tap + k, 3 * tap, tap, flat_packed, base + k, point)


@kernel()
def kernel_scratch_size(itemsize):  # type: ignore[no-untyped-def]
    """Elements of scratch that `transform_weights` needs for one thread."""
    return (9 + VECTOR_BYTES // itemsize) * CHANNELS * ROWS


@kernel(parallel=True)
def convolve_tiles(x, rows, pad, weights, bias, y, block, parts, scratch):  # type: ignore[no-untyped-def]
    """y = weights * x + bias.

    Args:
        x: `(N, G * C, H, W)`, contiguous.
        rows: `(6, tile rows)`, the input row that is row i of each row of tiles; -1 is padding.
        pad: columns of padding on the left.
        weights: of `transform_weights`.
        y: `(N, G * M, H', W')`.
        block: panels of tiles that are transformed together.
        parts: into how many parts the outputs are split, to give every thread work.
        scratch: one line of elements a thread, of `tile_scratch_size`.
    """
    width = LINE_BYTES // x.itemsize
    lanes = VECTOR_BYTES // x.itemsize
    images, channels, row_count, row_width = x.shape
    groups, bundles = weights.shape[:2]
    room = weights.shape[4]
    channels //= groups
    outputs = y.shape[1] // groups
    out_height, out_width = y.shape[2:]
    tile_rows, tile_columns = rows.shape[1], -(-out_width // TILE)
    flat_x = x.reshape(-1)
    flat_y = y.reshape(-1)
    flat_weights = weights.reshape(-1)
    line = block * width
    total = images * tile_rows * tile_columns
    blocks = -(-total // line)
    units = groups * blocks * parts
    part_bundles = -(-bundles // parts)
    patch_line = (TILE + 2) * line + 2 * lanes
    product_step = OUTPUT_PANELS * ROWS * width
    workers = scratch.shape[0]
    for worker in prange(workers):
        table = np.empty((line, 5), np.intp)
        patch_table = np.empty((line, 5), np.intp)
        starts = np.zeros(line, np.intp)
        mine = scratch[worker]
        patches = mine[: PATCH * patch_line]
        transformed = mine[PATCH * patch_line : PATCH * patch_line + POINTS * channels * line]
        products = mine[PATCH * patch_line + POINTS * channels * line :]
        tiles = products[POINTS * product_step :]
        for unit in range(worker, units, workers):
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
                patch_table[piece, 2] = table[piece, 2] * TILE
                patch_table[piece, 3] = table[piece, 3] * TILE + 2
                patch_table[piece, 4] = at
                for k in range(table[piece, 3]):
                    starts[table[piece, 4] + k] = at + k * TILE
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
                            transformed, (column * POINTS * channels + c) * width + k, channels * width,
                        )  # fmt: skip
            for bundle in range(part * part_bundles, min((part + 1) * part_bundles, bundles)):
                first_output = bundle * OUTPUT_PANELS * ROWS
                those = min(OUTPUT_PANELS * ROWS, outputs - first_output)
                for column in range(used):
                    vectors = min(VECTORS, -(-(last - first - column * width) // lanes))
                    for f in range(POINTS):
                        for c0 in range(0, channels, DEPTH):
                            for panel in range(-(-those // ROWS)):
                                multiply(
                                    flat_weights,
                                    ((((group * bundles + bundle) * POINTS + f) * OUTPUT_PANELS + panel) * room + c0)
                                    * ROWS,
                                    1,
                                    ROWS,
                                    transformed,
                                    ((column * POINTS + f) * channels + c0) * width,
                                    min(DEPTH, channels - c0),
                                    products,
                                    f * product_step + panel * ROWS * width,
                                    width,
                                    vectors,
                                    c0 > 0,
                                )
                    for row in range(those):
                        out = group * outputs + first_output + row
                        for k in range(0, vectors * lanes, lanes):
                            transform_output(products, row * width + k, product_step, tiles, TILE * k, TILE * width)
                        added = bias[out]
                        for piece in range(count):
                            # The tiles of a piece that are in this panel.
                            start = max(table[piece, 4], column * width)
                            stop = min(table[piece, 4] + table[piece, 3], (column + 1) * width)
                            if start >= stop:
                                continue
                            left = (table[piece, 2] + start - table[piece, 4]) * TILE
                            length = min((stop - start) * TILE, out_width - left)
                            top = table[piece, 1] * TILE
                            target = ((table[piece, 0] * groups * outputs + out) * out_height + top) * out_width + left
                            for i in range(min(TILE, out_height - top)):
                                copy_line(
                                    tiles, i * TILE * width + (start - column * width) * TILE, added,
                                    flat_y, target + i * out_width, length,
                                )  # fmt: skip


@kernel()
def tile_scratch_size(block, channels, itemsize):  # type: ignore[no-untyped-def]
    """Elements of scratch that `convolve_tiles` needs for one thread."""
    width = LINE_BYTES // itemsize
    lanes = VECTOR_BYTES // itemsize
    line = block * width
    patches = PATCH * ((TILE + 2) * line + 2 * lanes)
    return patches + POINTS * channels * line + POINTS * OUTPUT_PANELS * ROWS * width + TILE * TILE * width + lanes
