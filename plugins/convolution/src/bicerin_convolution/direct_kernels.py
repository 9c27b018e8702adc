"""Convolution row by row, as the formula says: for groups of few channels, where a product of matrices has no size.

`rows`, `columns`, `stride` and `out_*` are those of `Taps`; `w` is `(G, M, C, kernel)`. A band of rows is laid out one
after the other, padding included, so that a tap is a single run through all of them, a few elements further on. At a
stride each tap has a layout of its own.
"""

from __future__ import annotations

import numpy as np

from bicerin.kernels import kernel, part, spread
from bicerin.kernels.finishing import finished
from bicerin.kernels.panel import VECTOR_BYTES, copy_line
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


@part(fastmath={"contract"})
def add_scaled(sums, seen, at, factor, count):  # type: ignore[no-untyped-def]
    total, part = sums[:count], seen[at : at + count]
    for q in range(count):
        total[q] += factor * part[q]


@part(fastmath={"contract"})
def add_three_scaled(sums, seen, at, factors, count):  # type: ignore[no-untyped-def]
    """Three taps in one pass, since the way to the sums and back takes longer than the arithmetic."""
    total = sums[:count]
    a, b, c = seen[at[0] : at[0] + count], seen[at[1] : at[1] + count], seen[at[2] : at[2] + count]
    for q in range(count):
        total[q] += factors[0] * a[q] + factors[1] * b[q] + factors[2] * c[q]


@part(fastmath={"reassoc", "contract", "nsz"})
def dot(a, b, at, count):  # type: ignore[no-untyped-def]
    left, right = a[:count], b[at : at + count]
    total = a.dtype.type(0)
    for q in range(count):
        total += left[q] * right[q]
    return total


@part
def correlate_plane(  # type: ignore[no-untyped-def]
    unit, worker, x, rows, columns, stride, taps, w, finish, y, out_rows, out_column, out_step, out_width
):
    """One channel of the output of one image."""
    groups, outputs, channels, _ = w.shape
    row_count, row_width = x.shape[2:]
    plane = row_count * row_width
    flat_x, flat_y = x.reshape(-1), y.reshape(-1)
    wide, least, layouts = layout(columns, stride, out_width)
    band = max(1, min(out_rows.size, BAND // max(1, wide)))
    room = band * wide + 2 * (VECTOR_BYTES // x.itemsize)
    image, out = unit // (groups * outputs), unit % (groups * outputs)
    group, m = out // outputs, out % outputs
    table = np.empty((band, 5), np.intp)
    sums, seen = np.empty(room, x.dtype), np.zeros(room, x.dtype)
    scale, shift, slope = finish[0, out], finish[1, out], finish[2, out]
    for first in range(0, out_rows.size, band):
        count = min(band, out_rows.size - first)
        size = (count - 1) * wide + out_width
        band_table(image, first, count, wide, table)
        sums[:] = 0
        for c in range(channels):
            base = (group * channels + c) * plane
            for i in range(rows.shape[0]):
                factors = w[group, m, c]
                tap = i * columns.size
                for number in range(layouts):
                    column = least if stride == 1 else columns[number]
                    pack_line(
                        flat_x, groups * channels * plane, base, row_width, rows, i, column, stride,
                        table, count, seen, 0,
                    )  # fmt: skip
                    if stride > 1:
                        add_scaled(sums, seen, 0, factors[taps[tap + number]], size)
                    elif columns.size == 3:
                        places = (columns[0] - least, columns[1] - least, columns[2] - least)
                        three = (factors[taps[tap]], factors[taps[tap + 1]], factors[taps[tap + 2]])
                        add_three_scaled(sums, seen, places, three, size)
                    else:
                        for j in range(columns.size):
                            add_scaled(sums, seen, columns[j] - least, factors[taps[tap + j]], size)
        for o in range(count):
            target = ((image * groups * outputs + out) * y.shape[2] + out_rows[first + o]) * y.shape[3] + out_column
            if out_step == 1:
                copy_line(sums, o * wide, scale, shift, slope, flat_y, target, out_width)
            else:
                for q in range(out_width):
                    flat_y[target + q * out_step] = finished(sums[o * wide + q], scale, shift, slope)


@kernel()
def correlate_rows(  # type: ignore[no-untyped-def]
    x, rows, columns, stride, taps, w, finish, y, out_rows, out_column, out_step, out_width, workers
):
    """y = w * x, finished, where `Taps` says; x is `(N, G * C, R, W)`, y `(N, G * M, R', W')`."""
    spread(
        correlate_plane,
        y.shape[0] * y.shape[1],
        workers,
        (x, rows, columns, stride, taps, w, finish, y, out_rows, out_column, out_step, out_width),
    )


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
