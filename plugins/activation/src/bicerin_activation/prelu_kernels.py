"""PReLU over arrays of shape (outer, channels, inner), one slope per channel."""

from __future__ import annotations

from typing import Any

import numpy as np

from bicerin.kernels import elementwise, has_rows, num_workers, operation, part, spread


def forward_array(xp: Any, x: Any, slope: Any, y: Any) -> None:
    y[...] = xp.where(x > 0, x, x * slope[:, None])


@elementwise("x, slope[c] -> y", array=forward_array)
def forward(x: Any, slope: Any) -> Any:
    return x if x > 0 else x * slope


def backward_array(xp: Any, x: Any, slope: Any, y_diff: Any, x_diff: Any) -> None:
    x_diff[...] = xp.where(x > 0, y_diff, y_diff * slope[:, None])


@elementwise("x, slope[c], y_diff -> x_diff", array=backward_array)
def backward(x: Any, slope: Any, y_diff: Any) -> Any:
    return y_diff if x > 0 else y_diff * slope


def slope_sums_array(xp: Any, x: Any, y_diff: Any, sums: Any) -> None:
    sums[...] = (xp.minimum(x, 0) * y_diff).sum(axis=(0, 2))


@part(fastmath={"reassoc"})
def slope_sum_of_row(row: Any, worker: Any, x: Any, y_diff: Any, sums: Any) -> None:
    x, y_diff, zero, total = x[row], y_diff[row], x.dtype.type(0), x.dtype.type(0)
    for i in range(x.size):
        total += min(x[i], zero) * y_diff[i]
    sums[row] = total


@operation(array=slope_sums_array, compiled_where=has_rows)
def slope_sums(x: Any, y_diff: Any, sums: Any) -> None:
    """sums[c] = Σ min(x, 0) · y_diff over channel c; `sums` has the shape (channels,)."""
    outer, channels, inner = x.shape
    of_rows = np.empty(outer * channels, x.dtype)
    shape = (outer * channels, inner)
    spread(slope_sum_of_row, outer * channels, num_workers(x.size), (x.reshape(shape), y_diff.reshape(shape), of_rows))
    sums[:] = 0
    for row in range(outer * channels):
        sums[row % channels] += of_rows[row]


@slope_sums.cuda
def slope_sums_cuda(kernels: Any, x: Any, y_diff: Any, sums: Any) -> None:
    kernels.slope_sums.blocks(sums.size, x, y_diff, sums, *x.shape)
