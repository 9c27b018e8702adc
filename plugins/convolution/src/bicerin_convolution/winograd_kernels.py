"""Winograd's convolution over blocks of tiles: 36 products of matrices on what `winograd_transforms` makes."""

from __future__ import annotations

import numpy as np

from bicerin.kernels import kernel, prange
from bicerin.panel import LINE_BYTES, ROWS, VECTOR_BYTES, VECTORS, copy_line, multiply
from bicerin_convolution.gemm_kernels import DEPTH, pack_line, segments
from bicerin_convolution.winograd_transforms import PATCH, TILE, G, transform_input, transform_output

POINTS = PATCH * PATCH
#: Panels of outputs in a bundle, whose products are transformed back together.
OUTPUT_PANELS = 4
_G = tuple(tuple(float(value) for value in row) for row in G)


@kernel(parallel=True)
def transform_weights(w, flipped, packed):  # type: ignore[no-untyped-def]
    """w `(G, M, C, 9)` to G w G^T as panels `(G, bundles, 36, OUTPUT_PANELS, C, ROWS)`, in the order of their use.

    `flipped` turns each kernel half around.
    """
    groups, outputs, channels, _ = w.shape
    panels = packed.shape[1] * OUTPUT_PANELS
    g = np.array(_G, dtype=w.dtype)
    for unit in prange(groups * panels):
        group, panel = unit // panels, unit % panels
        kernels = np.zeros((9, ROWS), w.dtype)
        half = np.empty((PATCH, 3, ROWS), w.dtype)
        for c in range(channels):
            for row in range(max(0, min(ROWS, outputs - panel * ROWS))):
                taps = w[group, panel * ROWS + row, c]
                for t in range(9):
                    kernels[t, row] = taps[8 - t] if flipped else taps[t]
            for i in range(PATCH):
                for j in range(3):
                    for row in range(ROWS):
                        half[i, j, row] = (
                            g[i, 0] * kernels[j, row] + g[i, 1] * kernels[3 + j, row] + g[i, 2] * kernels[6 + j, row]
                        )
            for i in range(PATCH):
                for j in range(PATCH):
                    line = packed[group, panel // OUTPUT_PANELS, i * PATCH + j, panel % OUTPUT_PANELS, c]
                    for row in range(ROWS):
                        line[row] = g[j, 0] * half[i, 0, row] + g[j, 1] * half[i, 1, row] + g[j, 2] * half[i, 2, row]


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
                                    (
                                        (((group * bundles + bundle) * POINTS + f) * OUTPUT_PANELS + panel) * channels
                                        + c0
                                    )
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
