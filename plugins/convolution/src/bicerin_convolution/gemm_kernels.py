"""Convolution as a product of matrices, of which the im2col matrix only ever exists as packed blocks in the cache.

`rows`, `columns`, `stride` and `out_*` are those of `Taps`. A block of positions is packed a depth of
DEPTH at a time and multiplied with the packed weights of all outputs.
"""

from __future__ import annotations

import numpy as np

from bicerin.kernels import kernel, part, spread
from bicerin.kernels.finishing import finished
from bicerin.kernels.panel import LINE_BYTES, ROWS, VECTOR_BYTES, VECTORS, copy_line, multiply
from bicerin_convolution.packing_kernels import DEPTH, pack_line, segments


@part
def correlate_block(  # type: ignore[no-untyped-def]
    unit,
    worker,
    x,
    rows,
    columns,
    stride,
    weights,
    finish,
    y,
    out_rows,
    out_column,
    out_step,
    out_width,
    block,
    parts,
    scratch,
):
    """One part of the outputs at one block of positions."""
    width = LINE_BYTES // x.itemsize
    lanes = VECTOR_BYTES // x.itemsize
    images, channels, row_count, row_width = x.shape
    groups, depth, panels = weights.shape
    panels //= ROWS
    channels //= groups
    outputs = y.shape[1] // groups
    tap_columns = columns.size
    tap_count = rows.shape[0] * tap_columns
    flat_x = x.reshape(-1)
    flat_weights = weights.reshape(-1)
    plane = out_rows.size * out_width
    whole = out_step == 1 and y.shape[2] == out_rows.size and y.shape[3] == out_width
    flat_y = y.reshape(-1)
    total = images * plane
    part_panels = -(-panels // parts)
    panel_stride = width * min(DEPTH, depth) + width
    line = block * width
    table = np.empty((line, 5), np.intp)
    mine = scratch[worker]
    packed = mine[: block * panel_stride]
    tile = mine[block * panel_stride :]
    part = unit % parts
    group = unit // parts % groups
    first = unit // parts // groups * line
    last = min(first + line, total)
    first_panel = part * part_panels
    last_panel = min(first_panel + part_panels, panels)
    count = segments(first, last, out_rows.size, out_width, width, panel_stride, table)
    if depth == 0:
        tile[: (last_panel - first_panel) * ROWS * line] = 0
    for k0 in range(0, depth, DEPTH):
        k1 = min(k0 + DEPTH, depth)
        for k in range(k0, k1):
            c, t = k // tap_count, k % tap_count
            base = (group * channels + c) * row_count * row_width
            pack_line(
                flat_x,
                groups * channels * row_count * row_width,
                base,
                row_width,
                rows,
                t // tap_columns,
                columns[t % tap_columns],
                stride,
                table,
                count,
                packed,
                (k - k0) * width,
            )
        for column in range(-(-(last - first) // width)):
            vectors = min(VECTORS, -(-(last - first - column * width) // lanes))
            for panel in range(first_panel, last_panel):
                multiply(
                    flat_weights,
                    ((group * depth + k0) * panels + panel * (k1 - k0)) * ROWS,
                    1,
                    ROWS,
                    packed,
                    column * panel_stride,
                    k1 - k0,
                    tile,
                    (panel - first_panel) * ROWS * line + column * width,
                    line,
                    vectors,
                    k0 > 0,
                )
    for m in range(first_panel * ROWS, min(last_panel * ROWS, outputs)):
        out = group * outputs + m
        at = (m - first_panel * ROWS) * line
        scale, shift, slope = finish[0, out], finish[1, out], finish[2, out]
        if whole:
            position = first
            while position < last:
                image, start = position // plane, position % plane
                length = min(plane - start, last - position)
                place = (image * groups * outputs + out) * plane + start
                copy_line(tile, at, scale, shift, slope, flat_y, place, length)
                at += length
                position += length
        else:
            for piece in range(count):
                target = y[table[piece, 0], out, out_rows[table[piece, 1]]]
                start = out_column + table[piece, 2] * out_step
                for k in range(table[piece, 3]):
                    target[start + k * out_step] = finished(tile[at + k], scale, shift, slope)
                at += table[piece, 3]


@kernel()
def correlate(  # type: ignore[no-untyped-def]
    x, rows, columns, stride, weights, finish, y, out_rows, out_column, out_step, out_width, block, parts, scratch
):
    """y = weights * x, finished, where `Taps` says.

    Args:
        x: `(N, G * C, R, W)`, contiguous.
        weights: of `pack_weights`.
        finish: of `FinishTable`.
        y: `(N, G * M, R', W')`.
        block: panels of positions that are packed together.
        parts: into how many parts the outputs are split, to give every thread work.
        scratch: one line of elements per thread, of `scratch_size`.
    """
    width = LINE_BYTES // x.itemsize
    blocks = -(-x.shape[0] * out_rows.size * out_width // (block * width))
    spread(
        correlate_block,
        weights.shape[0] * blocks * parts,
        scratch.shape[0],
        (
            x,
            rows,
            columns,
            stride,
            weights,
            finish,
            y,
            out_rows,
            out_column,
            out_step,
            out_width,
            block,
            parts,
            scratch,
        ),
    )


def scratch_size(block: int, parts: int, panels: int, depth: int, itemsize: int) -> int:
    """Elements of scratch that `correlate` needs for one thread."""
    width = LINE_BYTES // itemsize
    return (
        block * width * (min(DEPTH, depth) + 1) + -(-panels // parts) * ROWS * block * width + VECTOR_BYTES // itemsize
    )
