"""ReLU6 over flat arrays: kernels, each beside its formula. NaN stays NaN."""

from __future__ import annotations

import numpy as np

from bicerin.kernels import SMALL, kernel, prange


def forward_reference(x: np.ndarray, slope: float, y: np.ndarray) -> None:
    low = x * x.dtype.type(slope) if slope else 0
    np.minimum(np.where(x <= 0, low, x), 6, out=y)


@kernel(reference=forward_reference, parallel=True, serial_below=SMALL)
def forward(x, slope, y):  # type: ignore[no-untyped-def]
    zero, six, slope = x.dtype.type(0), x.dtype.type(6), x.dtype.type(slope)
    for i in prange(x.size):
        value = x[i]
        if value <= 0:
            # Without a slope even -inf becomes 0.
            value = value * slope if slope != 0 else zero
        y[i] = six if value > six else value


def backward_reference(x: np.ndarray, slope: float, y_diff: np.ndarray, x_diff: np.ndarray) -> None:
    x_diff[...] = y_diff * np.where(x <= 0, x.dtype.type(slope), x < 6)


@kernel(reference=backward_reference, parallel=True, serial_below=SMALL)
def backward(x, slope, y_diff, x_diff):  # type: ignore[no-untyped-def]
    zero, one, slope = x.dtype.type(0), x.dtype.type(1), x.dtype.type(slope)
    for i in prange(x.size):
        x_diff[i] = y_diff[i] * (slope if x[i] <= 0 else one if x[i] < 6 else zero)
