"""ReLU6 over flat arrays: kernels, each beside its formula. NaN stays NaN."""

from __future__ import annotations

import numpy as np

from bicerin.kernels import kernel, num_workers, part, piece, pieces, spread


def forward_reference(x: np.ndarray, slope: float, y: np.ndarray) -> None:
    low = x * x.dtype.type(slope) if slope else 0
    np.minimum(np.where(x <= 0, low, x), 6, out=y)


@part
def forward_piece(unit, worker, x, slope, y):  # type: ignore[no-untyped-def]
    x, y, zero, six = piece(x, unit), piece(y, unit), x.dtype.type(0), x.dtype.type(6)
    if slope == 0:  # Even -inf becomes 0.
        for i in range(x.size):
            value = six if x[i] > six else x[i]
            y[i] = zero if value <= zero else value
    else:
        for i in range(x.size):
            value = x[i] * slope if x[i] <= zero else x[i]
            y[i] = six if value > six else value


@kernel(reference=forward_reference)
def forward(x, slope, y):  # type: ignore[no-untyped-def]
    spread(forward_piece, pieces(x), num_workers(x.size), (x, x.dtype.type(slope), y))


def backward_reference(x: np.ndarray, slope: float, y_diff: np.ndarray, x_diff: np.ndarray) -> None:
    x_diff[...] = y_diff * np.where(x <= 0, x.dtype.type(slope), x < 6)


@part
def backward_piece(unit, worker, x, slope, y_diff, x_diff):  # type: ignore[no-untyped-def]
    zero, one, six = x.dtype.type(0), x.dtype.type(1), x.dtype.type(6)
    x, y_diff, x_diff = piece(x, unit), piece(y_diff, unit), piece(x_diff, unit)
    for i in range(x.size):
        x_diff[i] = y_diff[i] * (slope if x[i] <= zero else one if x[i] < six else zero)


@kernel(reference=backward_reference)
def backward(x, slope, y_diff, x_diff):  # type: ignore[no-untyped-def]
    spread(backward_piece, pieces(x), num_workers(x.size), (x, x.dtype.type(slope), y_diff, x_diff))
