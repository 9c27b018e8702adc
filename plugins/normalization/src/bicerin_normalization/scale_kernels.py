"""Scale and shift of `(outer, dim, inner)` along its middle axis, in one pass each way."""

from __future__ import annotations

import numpy as np

from bicerin.kernels import kernel, prange


def scale_shift_reference(x: np.ndarray, scale: np.ndarray, shift: np.ndarray, y: np.ndarray) -> None:
    np.multiply(x, scale[:, None], out=y)
    y += shift[:, None]


def scale_backward_reference(
    x: np.ndarray, y_diff: np.ndarray, scale: np.ndarray, x_diff: np.ndarray, sums: np.ndarray
) -> None:
    sums[0] = np.einsum("odi,odi->d", x, y_diff)
    sums[1] = y_diff.sum(axis=(0, 2))
    if x_diff.size:
        np.multiply(y_diff, scale[:, None], out=x_diff)


@kernel(reference=scale_shift_reference, parallel=True)
def scale_shift(x: np.ndarray, scale: np.ndarray, shift: np.ndarray, y: np.ndarray) -> None:
    """y = x * scale + shift; y may be x."""
    outer, dim, inner = x.shape
    for row in prange(outer * dim):
        o, d = row // dim, row % dim
        source, target = x[o, d], y[o, d]
        factor, summand = scale[d], shift[d]
        for i in range(inner):
            target[i] = source[i] * factor + summand


@kernel(reference=scale_backward_reference, parallel=True, fastmath={"reassoc", "contract"})
def scale_backward(x: np.ndarray, y_diff: np.ndarray, scale: np.ndarray, x_diff: np.ndarray, sums: np.ndarray) -> None:
    """sums, `(2, dim)` = the gradients of scale and shift; x_diff = y_diff * scale, unless x_diff is empty.

    x_diff may be y_diff. Rows are summed in their own precision, and the rows' sums in double.
    """
    outer, dim, inner = x.shape
    write = x_diff.size > 0
    for d in prange(dim):
        total = 0.0
        total_product = 0.0
        factor = scale[d]
        for o in range(outer):
            source, diff = x[o, d], y_diff[o, d]
            row_sum = x.dtype.type(0)
            row_product = x.dtype.type(0)
            for i in range(inner):
                row_sum += diff[i]
                row_product += diff[i] * source[i]
            total += row_sum
            total_product += row_product
            if write:
                target = x_diff[o, d]
                for i in range(inner):
                    target[i] = diff[i] * factor
        sums[0, d] = total_product
        sums[1, d] = total
