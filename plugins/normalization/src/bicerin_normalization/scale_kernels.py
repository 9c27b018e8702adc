"""Scale and shift of `(outer, dim, inner)` along its middle axis, in one pass each way."""

from __future__ import annotations

from typing import Any

import numpy as np

from bicerin.kernels import elementwise, has_rows, num_workers, operation, part, spread


def multiply_array(xp: Any, x: Any, scale: Any, y: Any) -> None:
    xp.multiply(x, scale[:, None], out=y)


@elementwise("x, scale[c] -> y", array=multiply_array)
def multiply(x: Any, scale: Any) -> Any:
    return x * scale


def multiply_add_array(xp: Any, x: Any, scale: Any, shift: Any, y: Any) -> None:
    xp.multiply(x, scale[:, None], out=y)
    y += shift[:, None]


@elementwise("x, scale[c], shift[c] -> y", array=multiply_add_array)
def multiply_add(x: Any, scale: Any, shift: Any) -> Any:
    return x * scale + shift


def gradients_array(xp: Any, x: Any, y_diff: Any, scale: Any, x_diff: Any, sums: Any) -> None:
    sums[0] = xp.einsum("odi,odi->d", x, y_diff)
    sums[1] = y_diff.sum(axis=(0, 2))
    if x_diff.size:
        xp.multiply(y_diff, scale[:, None], out=x_diff)


@part(fastmath={"reassoc", "contract"})
def gradients_of_channel(
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


@operation(array=gradients_array, compiled_where=has_rows)
def gradients(x: np.ndarray, y_diff: np.ndarray, scale: np.ndarray, x_diff: np.ndarray, sums: np.ndarray) -> None:
    """sums, `(2, dim)` = the gradients of scale and shift; x_diff = y_diff * scale, unless x_diff is empty.

    x_diff may be y_diff. Rows are summed in their own precision, and the rows' sums in double.
    """
    spread(gradients_of_channel, scale.size, num_workers(x.size), (x, y_diff, scale, x_diff, sums))


@gradients.cuda
def gradients_cuda(kernels: Any, x: Any, y_diff: Any, scale: Any, x_diff: Any, sums: Any) -> None:
    kernels.sums.blocks(scale.size, x, y_diff, sums, *x.shape)
    if x_diff.size:
        kernels.multiply(y_diff.size, y_diff, scale, x_diff, *x.shape[1:])
