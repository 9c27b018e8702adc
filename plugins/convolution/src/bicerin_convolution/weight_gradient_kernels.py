"""The weight gradient as a product of matrices whose depth is the position.

`rows`, `columns` and `stride` are those of `Taps`.
"""

from __future__ import annotations

import numpy as np

from bicerin.kernels import kernel, part, spread
from bicerin.kernels.panel import LINE_BYTES, ROWS, VECTOR_BYTES, VECTORS, multiply, transpose
from bicerin_convolution.packing_kernels import pack_line, segments

#: Lines of the im2col matrix that are packed together, a multiple of ROWS.
LINES = 48


@part
def sum_weight_gradient(share, worker, x, rows, columns, stride, dy, dw, first_line, last_line, length, sums, scratch):  # type: ignore[no-untyped-def]
    """The sums over one share of the positions."""
    width = LINE_BYTES // x.itemsize
    lanes = VECTOR_BYTES // x.itemsize
    images, channels, row_count, row_width = x.shape
    groups, outputs, _ = dw.shape
    channels //= groups
    plane = dy.shape[2]
    tap_columns = columns.size
    tap_count = rows.shape[0] * tap_columns
    flat_x = x.reshape(-1)
    flat_dy = dy.reshape(-1)
    one_row = np.zeros((1, 1), np.intp)
    padded_lines, padded_outputs = sums.shape[2:]
    blocks = -(-images * plane // length)
    stretch = length + lanes
    x_table = np.empty((length, 5), np.intp)
    dy_table = np.empty((length, 5), np.intp)
    stripe = scratch[worker, : LINES * stretch]
    panels = scratch[worker, LINES * stretch :]
    mine = sums[share].reshape(-1)
    if share >= blocks:
        mine[:] = 0
    for group in range(groups):
        for block in range(share, blocks, len(sums)):
            first = block * length
            last = min(first + length, images * plane)
            x_count = segments(first, last, rows.shape[1], plane // rows.shape[1], length, 0, x_table)
            dy_count = segments(first, last, 1, plane, length, 0, dy_table)
            for m in range(0, outputs, ROWS):
                for row in range(min(ROWS, outputs - m)):
                    pack_line(
                        flat_dy, groups * outputs * plane, (group * outputs + m + row) * plane, plane,
                        one_row, 0, 0, 1, dy_table, dy_count, stripe, row * stretch,
                    )  # fmt: skip
                target = m // width * width * length + m % width
                for position in range(0, last - first, lanes):
                    transpose(stripe, position, stretch, panels, target + position * width, width)
            for start in range(first_line, last_line, LINES):
                stop = min(start + LINES, last_line)
                for k in range(start, stop):
                    c, t = k // tap_count, k % tap_count
                    pack_line(
                        flat_x, groups * channels * row_count * row_width,
                        (group * channels + c) * row_count * row_width, row_width,
                        rows, t // tap_columns, columns[t % tap_columns], stride,
                        x_table, x_count, stripe, (k - start) * stretch,
                    )  # fmt: skip
                for m in range(0, outputs, width):
                    vectors = min(VECTORS, -(-(outputs - m) // lanes))
                    for k in range(start, stop, ROWS):
                        at = (group * padded_lines + k - first_line) * padded_outputs + m
                        multiply(
                            stripe, (k - start) * stretch, stretch, 1, panels, m * length, last - first,
                            mine, at, padded_outputs, vectors, block > share,
                        )  # fmt: skip


@part
def add_strip(unit, worker, sums, dw, first_line, last_line, lanes):  # type: ignore[no-untyped-def]
    """Add the shares' sums for the strip of outputs that a vector holds."""
    outputs = dw.shape[1]
    strips = -(-outputs // lanes)
    group, first = unit // strips, unit % strips * lanes
    for k in range(last_line - first_line):
        for m in range(first, min(first + lanes, outputs)):
            for share in range(sums.shape[0]):
                dw[group, m, first_line + k] += sums[share, group, k, m]


@kernel()
def add_weight_gradient(x, rows, columns, stride, dy, dw, first_line, last_line, length, sums, scratch):  # type: ignore[no-untyped-def]
    """dw += dy . im2col(x)^T, for a range of the lines of the im2col matrix.

    The sum runs over positions: dy is transposed to panels whose depth is the position, the lines of the im2col matrix
    stay as they are. A thread sums up its own share of the positions.

    Args:
        x, rows, columns, stride: as in `correlate`.
        dy: `(N, G * M, positions)`.
        dw: `(G, M, C * taps)`.
        first_line, last_line: of the C * taps.
        length: positions in a block, a multiple of a vector's length.
        sums: `(threads, G, lines, outputs)`, the last two in whole tiles.
        scratch: one line of elements per thread, of `weight_scratch_size`.
    """
    # Shares, not blocks, are the units, so that each is summed up in the same order whoever takes it.
    spread(
        sum_weight_gradient,
        sums.shape[0],
        scratch.shape[0],
        (x, rows, columns, stride, dy, dw, first_line, last_line, length, sums, scratch),
    )
    lanes = VECTOR_BYTES // x.itemsize
    units = dw.shape[0] * -(-dw.shape[1] // lanes)
    spread(add_strip, units, scratch.shape[0], (sums, dw, first_line, last_line, lanes))


def weight_scratch_size(length: int, outputs: int, itemsize: int) -> int:
    """Elements of scratch that `add_weight_gradient` needs for one thread."""
    width = LINE_BYTES // itemsize
    return LINES * (length + VECTOR_BYTES // itemsize) + -(-outputs // width) * width * length
