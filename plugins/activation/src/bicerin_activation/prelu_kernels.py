"""PReLU over arrays of shape (outer, channels, inner), one slope a channel: kernels, each beside its formula."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from bicerin.kernels import SMALL, kernel, prange


def forward_array(xp: Any, x: Any, slope: Any, y: Any) -> None:
    y[...] = xp.where(x > 0, x, x * slope[:, None])


@kernel(reference=partial(forward_array, np), parallel=True, serial_below=SMALL)
def forward(x, slope, y):  # type: ignore[no-untyped-def]
    channels = x.shape[1]
    for row in prange(x.shape[0] * channels):
        image, channel = row // channels, row % channels
        negative = slope[channel]
        for i in range(x.shape[2]):
            value = x[image, channel, i]
            y[image, channel, i] = value if value > 0 else value * negative


def backward_array(xp: Any, x: Any, slope: Any, y_diff: Any, x_diff: Any) -> None:
    x_diff[...] = xp.where(x > 0, y_diff, y_diff * slope[:, None])


@kernel(reference=partial(backward_array, np), parallel=True, serial_below=SMALL)
def backward(x, slope, y_diff, x_diff):  # type: ignore[no-untyped-def]
    channels = x.shape[1]
    for row in prange(x.shape[0] * channels):
        image, channel = row // channels, row % channels
        negative = slope[channel]
        for i in range(x.shape[2]):
            diff = y_diff[image, channel, i]
            x_diff[image, channel, i] = diff if x[image, channel, i] > 0 else diff * negative


def slope_diff_array(xp: Any, x: Any, y_diff: Any, sums: Any) -> None:
    sums[...] = (xp.minimum(x, 0) * y_diff).sum(axis=2)


@kernel(reference=partial(slope_diff_array, np), parallel=True, serial_below=SMALL, fastmath={"reassoc"})
def slope_diff(x, y_diff, sums):  # type: ignore[no-untyped-def]
    """Write Σ min(x, 0) · y_diff of each image and channel into `sums`, shape (outer, channels)."""
    channels = x.shape[1]
    for row in prange(x.shape[0] * channels):
        image, channel = row // channels, row % channels
        total = x.dtype.type(0)
        for i in range(x.shape[2]):
            total += min(x[image, channel, i], x.dtype.type(0)) * y_diff[image, channel, i]
        sums[image, channel] = total
