"""Planes with repeated pixels, `(P, H, W)` to `(P, s H, s W)`, and pixels put into flat planes, `(P, H W)`."""

from __future__ import annotations

import numpy as np

from bicerin.kernels import SMALL, kernel, prange


def _blocks(small: np.ndarray, large: np.ndarray) -> np.ndarray:
    """The large planes as blocks, `(P, H, s, W, s)`."""
    planes, height, width = small.shape
    scale = large.shape[2] // width if width else 1
    return large.reshape(planes, height, scale, width, scale)


def repeat_reference(x: np.ndarray, y: np.ndarray) -> None:
    _blocks(x, y)[...] = x[:, :, None, :, None]


@kernel(reference=repeat_reference, parallel=True)
def repeat(x, y):  # type: ignore[no-untyped-def]
    planes, height, width = x.shape
    scale = y.shape[2] // max(width, 1)
    for plane in prange(planes):
        for i in range(height):
            first = y[plane, i * scale]
            for j in range(width):
                for k in range(scale):
                    first[j * scale + k] = x[plane, i, j]
            for k in range(1, scale):
                y[plane, i * scale + k] = first


def repeat_backward_reference(y_diff: np.ndarray, x_diff: np.ndarray) -> None:
    _blocks(x_diff, y_diff).sum(axis=(2, 4), out=x_diff)


@kernel(reference=repeat_backward_reference, parallel=True)
def repeat_backward(y_diff, x_diff):  # type: ignore[no-untyped-def]
    planes, height, width = x_diff.shape
    scale = y_diff.shape[2] // max(width, 1)
    for plane in prange(planes):
        for i in range(height):
            for j in range(width):
                total = x_diff.dtype.type(0)
                for k in range(scale):
                    for m in range(scale):
                        total += y_diff[plane, i * scale + k, j * scale + m]
                x_diff[plane, i, j] = total


def unpool_reference(x: np.ndarray, places: np.ndarray, y: np.ndarray) -> None:
    y.fill(0)
    for plane, row in enumerate(places):
        # From the last on, each place once: where several pixels go to one place, the last stays.
        chosen, source = np.unique(row[::-1], return_index=True)
        y[plane, chosen] = x[plane, ::-1][source]


@kernel(reference=unpool_reference, parallel=True, serial_below=SMALL)
def unpool(x, places, y):  # type: ignore[no-untyped-def]
    for plane in prange(len(x)):
        y[plane] = 0
        for i in range(x.shape[1]):
            y[plane, places[plane, i]] = x[plane, i]
