"""Convolution row by row, as the formula says: for groups of few channels, where a product of matrices has no size.

`rows`, `columns`, `stride` and `out_*` are those of `Taps`; `w` is `(G, M, C, kernel)`.
"""

from __future__ import annotations

import numpy as np

from bicerin.kernels import kernel, prange
from bicerin.panel import VECTOR_BYTES, copy_vector
from bicerin_convolution.finish import finished


@kernel()
def every(x, at, stride, count, out):  # type: ignore[no-untyped-def]
    """out[k] = x[at + k * stride], for so many k; out has room for a vector more."""
    lanes = VECTOR_BYTES // x.itemsize
    k = 0
    if stride == 2 and at + 2 * (count + lanes) <= x.size:
        while k < count:
            copy_vector(x, at + 2 * k, 2, out, k)
            k += lanes
    else:
        while k < count:
            out[k] = x[at + k * stride]
            k += 1


@kernel(parallel=True)
def correlate_rows(x, rows, columns, stride, taps, w, finish, y, out_rows, out_column, out_step, out_width):  # type: ignore[no-untyped-def]
    """y = w * x, finished, where `Taps` says; x is `(N, G * C, R, W)`, y `(N, G * M, R', W')`."""
    groups, outputs, channels, _ = w.shape
    row_count, row_width = x.shape[2:]
    flat_x = x.reshape(-1)
    for unit in prange(y.shape[0] * groups * outputs):
        image, out = unit // (groups * outputs), unit % (groups * outputs)
        group, m = out // outputs, out % outputs
        line = np.empty(out_width, x.dtype)
        thinned = np.empty(out_width + VECTOR_BYTES // x.itemsize, x.dtype)
        for o in range(out_rows.size):
            line[:] = 0
            for c in range(channels):
                for i in range(rows.shape[0]):
                    if rows[i, o] < 0:
                        continue
                    source = x[image, group * channels + c, rows[i, o]]
                    for j in range(columns.size):
                        factor = w[group, m, c, taps[i * columns.size + j]]
                        shift = columns[j]
                        first = max(0, -(shift // stride))
                        last = min(out_width, -((shift - row_width) // stride))
                        if stride == 1:
                            part = line[first:last]
                            seen = source[first + shift : last + shift]
                            for q in range(part.size):
                                part[q] += factor * seen[q]
                        elif first < last:
                            at = (
                                (image * channels * groups + group * channels + c) * row_count + rows[i, o]
                            ) * row_width
                            part = line[first:last]
                            every(flat_x, at + first * stride + shift, stride, last - first, thinned)
                            for q in range(part.size):
                                part[q] += factor * thinned[q]
            for q in range(out_width):
                line[q] = finished(line[q], finish[0, out], finish[1, out], finish[2, out])
            target = y[image, out, out_rows[o]]
            if out_step == 1:
                target[out_column : out_column + out_width] = line
            else:
                for q in range(out_width):
                    target[out_column + q * out_step] = line[q]


@kernel(parallel=True, fastmath={"reassoc", "contract", "nsz"})
def add_row_products(x, rows, columns, stride, dy, dw):  # type: ignore[no-untyped-def]
    """dw `(G, M, C, kernel)` += the sums over images and positions of dy `(N, G * M, R', W')` times x."""
    groups, outputs, channels, _ = dw.shape
    row_count, row_width = x.shape[2:]
    out_width = dy.shape[3]
    flat_x = x.reshape(-1)
    for unit in prange(groups * outputs * channels):
        out, c = unit // channels, unit % channels
        group, m = out // outputs, out % outputs
        thinned = np.empty(out_width + VECTOR_BYTES // x.itemsize, x.dtype)
        for i in range(rows.shape[0]):
            for j in range(columns.size):
                shift = columns[j]
                first = max(0, -(shift // stride))
                last = min(out_width, -((shift - row_width) // stride))
                total = x.dtype.type(0)
                for image in range(x.shape[0]):
                    for o in range(rows.shape[1]):
                        if rows[i, o] < 0 or first >= last:
                            continue
                        gradient = dy[image, out, o, first:last]
                        source = x[image, group * channels + c, rows[i, o]]
                        if stride == 1:
                            seen = source[first + shift : last + shift]
                            for q in range(gradient.size):
                                total += gradient[q] * seen[q]
                        else:
                            at = (
                                (image * channels * groups + group * channels + c) * row_count + rows[i, o]
                            ) * row_width
                            every(flat_x, at + first * stride + shift, stride, last - first, thinned)
                            for q in range(gradient.size):
                                total += gradient[q] * thinned[q]
                dw[group, m, c, i * columns.size + j] += total
