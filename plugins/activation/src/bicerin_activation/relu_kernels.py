"""ReLU over flat arrays: kernels, each beside its formula."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from bicerin.kernels import SMALL, kernel, prange


def forward_array(xp: Any, x: Any, slope: float, y: Any) -> None:
    if slope == 0:
        xp.maximum(x, 0, out=y)
    else:
        y[...] = xp.where(x > 0, x, x * slope)


@kernel(reference=partial(forward_array, np), parallel=True, serial_below=SMALL)
def forward(x, slope, y):  # type: ignore[no-untyped-def]
    zero, slope = x.dtype.type(0), x.dtype.type(slope)
    if slope == 0:
        for i in prange(x.size):
            # A comparison that NaN fails, so that NaN stays NaN.
            y[i] = zero if x[i] <= zero else x[i]
    else:
        for i in prange(x.size):
            y[i] = x[i] if x[i] > zero else x[i] * slope


def backward_array(xp: Any, x: Any, slope: float, y_diff: Any, x_diff: Any) -> None:
    x_diff[...] = xp.where(x > 0, y_diff, y_diff * slope)


@kernel(reference=partial(backward_array, np), parallel=True, serial_below=SMALL)
def backward(x, slope, y_diff, x_diff):  # type: ignore[no-untyped-def]
    zero, slope = x.dtype.type(0), x.dtype.type(slope)
    for i in prange(x.size):
        x_diff[i] = y_diff[i] if x[i] > zero else y_diff[i] * slope
