"""Bilinear interpolation of planes, forward and backward.

`row` and `column` are the pixels of x before each of y, `down` and `right` how far that is on to the next, 0 to 1.
"""

from __future__ import annotations

import numpy as np

from bicerin.kernels import kernel, prange


def _matrix(first: np.ndarray, part: np.ndarray, size: int) -> np.ndarray:
    """What each pixel of a line gives to each new one, `(new, size)`."""
    pixel = np.arange(size)
    following = np.minimum(first + 1, size - 1)
    return (pixel == first[:, None]) * (1 - part)[:, None] + (pixel == following[:, None]) * part[:, None]


def interpolate_reference(
    x: np.ndarray, row: np.ndarray, down: np.ndarray, column: np.ndarray, right: np.ndarray, y: np.ndarray
) -> None:
    y[...] = _matrix(row, down, x.shape[1]) @ x @ _matrix(column, right, x.shape[2]).T


@kernel(reference=interpolate_reference, parallel=True)
def interpolate(x, row, down, column, right, y):  # type: ignore[no-untyped-def]
    """Write `y`, `(P, H', W')`, from `x`, `(P, H, W)`."""
    planes, height, width = x.shape
    one = x.dtype.type(1)
    for plane in prange(planes):
        line = np.empty(width, x.dtype)
        for i in range(y.shape[1]):
            upper, lower = x[plane, row[i]], x[plane, min(row[i] + 1, height - 1)]
            for j in range(width):
                line[j] = (one - down[i]) * upper[j] + down[i] * lower[j]
            for j in range(y.shape[2]):
                following = min(column[j] + 1, width - 1)
                y[plane, i, j] = (one - right[j]) * line[column[j]] + right[j] * line[following]


def interpolate_backward_reference(
    x_diff: np.ndarray, row: np.ndarray, down: np.ndarray, column: np.ndarray, right: np.ndarray, y_diff: np.ndarray
) -> None:
    x_diff += _matrix(row, down, x_diff.shape[1]).T @ y_diff @ _matrix(column, right, x_diff.shape[2])


@kernel(reference=interpolate_backward_reference, parallel=True)
def interpolate_backward(x_diff, row, down, column, right, y_diff):  # type: ignore[no-untyped-def]
    """Add to `x_diff` what each pixel of `y_diff` gives to the four around it."""
    planes, height, width = x_diff.shape
    one = x_diff.dtype.type(1)
    for plane in prange(planes):
        line = np.empty(width, x_diff.dtype)
        for i in range(y_diff.shape[1]):
            line[:] = 0
            for j in range(y_diff.shape[2]):
                following = min(column[j] + 1, width - 1)
                line[column[j]] += (one - right[j]) * y_diff[plane, i, j]
                line[following] += right[j] * y_diff[plane, i, j]
            upper, lower = x_diff[plane, row[i]], x_diff[plane, min(row[i] + 1, height - 1)]
            for j in range(width):
                upper[j] += (one - down[i]) * line[j]
                lower[j] += down[i] * line[j]
