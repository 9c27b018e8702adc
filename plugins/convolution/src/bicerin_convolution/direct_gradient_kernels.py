"""The weight gradient row by row, for groups of few channels, where a product of matrices has no size.

`rows`, `columns`, `stride` and `out_*` are those of `Taps`; `dw` is `(G, M, C, kernel)`. A band of rows is laid out one
after the other, padding included, so that a tap is a single run through all of them, a few elements further on. At a
stride each tap has a layout of its own.
"""

from __future__ import annotations

import numpy as np

from bicerin.kernels import kernel, part, spread
from bicerin.kernels.panel import VECTOR_BYTES
from bicerin_convolution.packing_kernels import pack_line

#: Elements of a band, of which there are two, in the first-level cache.
BAND = 3072


@part
def layout(columns, stride, width):  # type: ignore[no-untyped-def]
    """The length of a row in a band, its first column before those of the taps, and how many layouts there are."""
    if stride > 1 or columns.size == 0:
        return width, 0, columns.size
    return width + columns.max() - columns.min(), columns.min(), 1


@part
def band_table(image, first, count, wide, table):  # type: ignore[no-untyped-def]
    """The pieces for `pack_line`: whole rows."""
    for piece in range(count):
        table[piece, 0] = image
        table[piece, 1] = first + piece
        table[piece, 2] = 0
        table[piece, 3] = wide
        table[piece, 4] = piece * wide


@part(fastmath={"reassoc", "contract", "nsz"})
def dot(a, b, at, count):  # type: ignore[no-untyped-def]
    left, right = a[:count], b[at : at + count]
    total = a.dtype.type(0)
    for q in range(count):
        total += left[q] * right[q]
    return total


@part
def add_kernel_products(  # type: ignore[no-untyped-def]
    unit, worker, x, rows, columns, stride, dy, dw
):
    """The kernels of one output."""
    groups, outputs, channels, _ = dw.shape
    row_count, row_width = x.shape[2:]
    plane = row_count * row_width
    out_height, out_width = dy.shape[2:]
    flat_x = x.reshape(-1)
    wide, least, layouts = layout(columns, stride, out_width)
    band = max(1, min(out_height, BAND // max(1, wide)))
    room = band * wide + 2 * (VECTOR_BYTES // x.itemsize)
    group, m = unit // outputs, unit % outputs
    table = np.empty((band, 5), np.intp)
    # Zeros between the rows, where x has its padding.
    gradient, seen = np.zeros(room, x.dtype), np.zeros(room, x.dtype)
    for image in range(x.shape[0]):
        for first in range(0, out_height, band):
            count = min(band, out_height - first)
            size = (count - 1) * wide + out_width
            band_table(image, first, count, wide, table)
            for o in range(count):
                gradient[o * wide : o * wide + out_width] = dy[image, unit, first + o]
            for c in range(channels):
                base = (group * channels + c) * plane
                for i in range(rows.shape[0]):
                    total = dw[group, m, c, i * columns.size : (i + 1) * columns.size]
                    for number in range(layouts):
                        column = least if stride == 1 else columns[number]
                        pack_line(
                            flat_x, groups * channels * plane, base, row_width, rows, i, column, stride,
                            table, count, seen, 0,
                        )  # fmt: skip
                        if stride > 1:
                            total[number] += dot(gradient, seen, 0, size)
                        else:
                            for j in range(columns.size):
                                total[j] += dot(gradient, seen, columns[j] - least, size)


@kernel()
def add_row_products(  # type: ignore[no-untyped-def]
    x, rows, columns, stride, dy, dw, workers
):
    """dw `(G, M, C, kernel)` += the sums over images and positions of dy `(N, G * M, R', W')` times x."""
    spread(
        add_kernel_products,
        dw.shape[0] * dw.shape[1],
        workers,
        (x, rows, columns, stride, dy, dw),
    )
