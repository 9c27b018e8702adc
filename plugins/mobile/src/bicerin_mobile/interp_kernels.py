"""Bilinear interpolation of planes, forward and backward.

`row` and `column` are the pixels of x before each of y, `down` and `right` how far that is on to the next, 0 to 1.
"""

from __future__ import annotations

import numpy as np

from bicerin.kernels import kernel, num_workers, part, spread


def _matrix(first: np.ndarray, part: np.ndarray, size: int) -> np.ndarray:
    """What each pixel of a line gives to each new one, `(new, size)`."""
    pixel = np.arange(size)
    following = np.minimum(first + 1, size - 1)
    return (pixel == first[:, None]) * (1 - part)[:, None] + (pixel == following[:, None]) * part[:, None]


def interpolate_reference(
    x: np.ndarray, row: np.ndarray, down: np.ndarray, column: np.ndarray, right: np.ndarray, y: np.ndarray
) -> None:
    y[...] = _matrix(row, down, x.shape[1]) @ x @ _matrix(column, right, x.shape[2]).T


@part
def lines_for(workers, planes):  # type: ignore[no-untyped-def]
    """A line of pixels for each thread, far enough apart that threads share no line of the cache."""
    return np.empty((workers, planes.shape[2] + 16), planes.dtype)


@part
def interpolate_plane(plane, worker, lines, x, row, down, column, right, y):  # type: ignore[no-untyped-def]
    _, height, width = x.shape
    one = x.dtype.type(1)
    line = lines[worker, :width]
    for i in range(y.shape[1]):
        upper, lower, out = x[plane, row[i]], x[plane, min(row[i] + 1, height - 1)], y[plane, i]
        for j in range(line.size):
            line[j] = (one - down[i]) * upper[j] + down[i] * lower[j]
        for j in range(out.size):
            following = min(column[j] + 1, width - 1)
            out[j] = (one - right[j]) * line[column[j]] + right[j] * line[following]


@kernel(reference=interpolate_reference)
def interpolate(x, row, down, column, right, y):  # type: ignore[no-untyped-def]
    """Write `y`, `(P, H', W')`, from `x`, `(P, H, W)`."""
    workers = num_workers(y.size)
    spread(interpolate_plane, len(x), workers, (lines_for(workers, x), x, row, down, column, right, y))


def interpolate_backward_reference(
    x_diff: np.ndarray, row: np.ndarray, down: np.ndarray, column: np.ndarray, right: np.ndarray, y_diff: np.ndarray
) -> None:
    x_diff += _matrix(row, down, x_diff.shape[1]).T @ y_diff @ _matrix(column, right, x_diff.shape[2])


@part
def interpolate_plane_backward(plane, worker, lines, x_diff, row, down, column, right, y_diff):  # type: ignore[no-untyped-def]
    _, height, width = x_diff.shape
    one = x_diff.dtype.type(1)
    line = lines[worker, :width]
    for i in range(y_diff.shape[1]):
        line[:] = 0
        diff = y_diff[plane, i]
        for j in range(diff.size):
            following = min(column[j] + 1, width - 1)
            line[column[j]] += (one - right[j]) * diff[j]
            line[following] += right[j] * diff[j]
        upper, lower = x_diff[plane, row[i]], x_diff[plane, min(row[i] + 1, height - 1)]
        for j in range(line.size):
            upper[j] += (one - down[i]) * line[j]
            lower[j] += down[i] * line[j]


@kernel(reference=interpolate_backward_reference)
def interpolate_backward(x_diff, row, down, column, right, y_diff):  # type: ignore[no-untyped-def]
    """Add to `x_diff` what each pixel of `y_diff` gives to the four around it."""
    workers = num_workers(y_diff.size)
    arguments = (lines_for(workers, x_diff), x_diff, row, down, column, right, y_diff)
    spread(interpolate_plane_backward, len(x_diff), workers, arguments)
