"""Scale and shift of `(outer, dim, inner)` along its middle axis, in one pass each way."""

from __future__ import annotations

import numpy as np

from bicerin.kernels import kernel, num_workers, part, spread


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


@part
def rows(array: np.ndarray) -> np.ndarray:
    """The outer and the middle axis as one."""
    return array.reshape(array.shape[0] * array.shape[1], array.shape[2])


@part
def scale_shift_row(row: int, worker: int, x: np.ndarray, scale: np.ndarray, shift: np.ndarray, y: np.ndarray) -> None:
    source, target, d = x[row], y[row], row % scale.size
    factor, summand = scale[d], shift[d]
    for i in range(source.size):
        target[i] = source[i] * factor + summand


@kernel(reference=scale_shift_reference)
def scale_shift(x: np.ndarray, scale: np.ndarray, shift: np.ndarray, y: np.ndarray) -> None:
    """y = x * scale + shift; y may be x."""
    spread(scale_shift_row, x.shape[0] * x.shape[1], num_workers(x.size), (rows(x), scale, shift, rows(y)))


@part(fastmath={"reassoc", "contract"})
def scale_backward_channel(
    d: int, worker: int, x: np.ndarray, y_diff: np.ndarray, scale: np.ndarray, x_diff: np.ndarray, sums: np.ndarray
) -> None:
    total = 0.0
    total_product = 0.0
    factor = scale[d]
    for o in range(len(x)):
        source, diff = x[o, d], y_diff[o, d]
        row_sum = x.dtype.type(0)
        row_product = x.dtype.type(0)
        for i in range(source.size):
            row_sum += diff[i]
            row_product += diff[i] * source[i]
        total += row_sum
        total_product += row_product
        if x_diff.size:
            target = x_diff[o, d]
            for i in range(target.size):
                target[i] = diff[i] * factor
    sums[0, d] = total_product
    sums[1, d] = total


@kernel(reference=scale_backward_reference)
def scale_backward(x: np.ndarray, y_diff: np.ndarray, scale: np.ndarray, x_diff: np.ndarray, sums: np.ndarray) -> None:
    """sums, `(2, dim)` = the gradients of scale and shift; x_diff = y_diff * scale, unless x_diff is empty.

    x_diff may be y_diff. Rows are summed in their own precision, and the rows' sums in double.
    """
    spread(scale_backward_channel, scale.size, num_workers(x.size), (x, y_diff, scale, x_diff, sums))
