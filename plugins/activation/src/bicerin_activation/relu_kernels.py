"""ReLU over flat arrays: kernels, each beside its formula."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from bicerin.kernels import kernel, num_workers, part, piece, pieces, spread


def forward_array(xp: Any, x: Any, slope: float, y: Any) -> None:
    if slope == 0:
        xp.maximum(x, 0, out=y)
    else:
        y[...] = xp.where(x > 0, x, x * slope)


@part
def forward_piece(unit, worker, x, slope, y):  # type: ignore[no-untyped-def]
    x, y, zero = piece(x, unit), piece(y, unit), x.dtype.type(0)
    if slope == 0:
        for i in range(x.size):
            # A comparison that NaN fails, so that NaN stays NaN.
            y[i] = zero if x[i] <= zero else x[i]
    else:
        for i in range(x.size):
            y[i] = x[i] if x[i] > zero else x[i] * slope


@kernel(reference=partial(forward_array, np))
def forward(x, slope, y):  # type: ignore[no-untyped-def]
    spread(forward_piece, pieces(x), num_workers(x.size), (x, x.dtype.type(slope), y))


def backward_array(xp: Any, x: Any, slope: float, y_diff: Any, x_diff: Any) -> None:
    x_diff[...] = xp.where(x > 0, y_diff, y_diff * slope)


@part
def backward_piece(unit, worker, x, slope, y_diff, x_diff):  # type: ignore[no-untyped-def]
    x, y_diff, x_diff, zero = piece(x, unit), piece(y_diff, unit), piece(x_diff, unit), x.dtype.type(0)
    for i in range(x.size):
        x_diff[i] = y_diff[i] if x[i] > zero else y_diff[i] * slope


@kernel(reference=partial(backward_array, np))
def backward(x, slope, y_diff, x_diff):  # type: ignore[no-untyped-def]
    spread(backward_piece, pieces(x), num_workers(x.size), (x, x.dtype.type(slope), y_diff, x_diff))
