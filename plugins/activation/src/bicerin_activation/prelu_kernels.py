"""PReLU over arrays of shape (outer, channels, inner), one slope a channel: kernels, each beside its formula."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from bicerin.kernels import kernel, num_workers, part, spread


def forward_array(xp: Any, x: Any, slope: Any, y: Any) -> None:
    y[...] = xp.where(x > 0, x, x * slope[:, None])


@part
def rows(array):  # type: ignore[no-untyped-def]
    """Images and channels as one axis."""
    return array.reshape(array.shape[0] * array.shape[1], array.shape[2])


@part
def forward_row(row, worker, x, slope, y):  # type: ignore[no-untyped-def]
    x, y, negative, zero = x[row], y[row], slope[row % slope.size], x.dtype.type(0)
    for i in range(x.size):
        y[i] = x[i] if x[i] > zero else x[i] * negative


@kernel(reference=partial(forward_array, np))
def forward(x, slope, y):  # type: ignore[no-untyped-def]
    spread(forward_row, x.shape[0] * x.shape[1], num_workers(x.size), (rows(x), slope, rows(y)))


def backward_array(xp: Any, x: Any, slope: Any, y_diff: Any, x_diff: Any) -> None:
    x_diff[...] = xp.where(x > 0, y_diff, y_diff * slope[:, None])


@part
def backward_row(row, worker, x, slope, y_diff, x_diff):  # type: ignore[no-untyped-def]
    x, y_diff, x_diff, negative, zero = x[row], y_diff[row], x_diff[row], slope[row % slope.size], x.dtype.type(0)
    for i in range(x.size):
        x_diff[i] = y_diff[i] if x[i] > zero else y_diff[i] * negative


@kernel(reference=partial(backward_array, np))
def backward(x, slope, y_diff, x_diff):  # type: ignore[no-untyped-def]
    spread(backward_row, x.shape[0] * x.shape[1], num_workers(x.size), (rows(x), slope, rows(y_diff), rows(x_diff)))


def slope_diff_array(xp: Any, x: Any, y_diff: Any, sums: Any) -> None:
    sums[...] = (xp.minimum(x, 0) * y_diff).sum(axis=2)


@part(fastmath={"reassoc"})
def slope_diff_row(row, worker, x, y_diff, sums):  # type: ignore[no-untyped-def]
    x, y_diff, zero, total = x[row], y_diff[row], x.dtype.type(0), x.dtype.type(0)
    for i in range(x.size):
        total += min(x[i], zero) * y_diff[i]
    sums[row] = total


@kernel(reference=partial(slope_diff_array, np))
def slope_diff(x, y_diff, sums):  # type: ignore[no-untyped-def]
    """Write Σ min(x, 0) · y_diff of each image and channel into `sums`, shape (outer, channels)."""
    spread(
        slope_diff_row, x.shape[0] * x.shape[1], num_workers(x.size), (rows(x), rows(y_diff), sums.reshape(sums.size))
    )
