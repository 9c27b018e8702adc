"""Bilinear interpolation of planes, forward and backward; and the choice of their nearest pixels.

From pixel (`start`, `start`) on, `height` x `width` pixels of the planes of x, shape (P, H, W), become planes of y,
shape (P, H', W'). Row i of y lies at row i (height - 1) / (H' - 1) of those pixels, between two of them; likewise
columns.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from bicerin.kernels import num_workers, operation, part, spread


def _matrix(xp: Any, start: int, before: int, after: int, x: Any, axis: int) -> Any:
    """What each row or column of x gives to each of y, shape (new, old)."""
    real = x.dtype.type
    place = xp.arange(after, dtype=x.dtype) * (real(before - 1) / real(max(after - 1, 1)))
    first = xp.minimum(place.astype(np.int64), before - 1)
    share = (place - first).astype(x.dtype)[:, None]
    pixel = xp.arange(x.shape[axis])
    following = xp.minimum(first + 1, before - 1)
    return (pixel == (first + start)[:, None]) * (1 - share) + (pixel == (following + start)[:, None]) * share


def interpolate_array(xp: Any, x: Any, start: int, height: int, width: int, y: Any) -> None:
    rows, columns = _matrix(xp, start, height, y.shape[1], x, 1), _matrix(xp, start, width, y.shape[2], x, 2)
    y[...] = rows @ x @ columns.T


@part
def places(before: Any, after: Any, x: Any) -> Any:
    """For each row or column of y: that of the used pixels before it, and how far it is on to the next, 0 to 1."""
    first, share = np.empty(after, np.int64), np.empty(after, x.dtype)
    step = x.dtype.type(before - 1) / x.dtype.type(max(after - 1, 1))
    for i in range(after):
        place = x.dtype.type(i) * step
        first[i] = min(np.int64(place), before - 1)
        share[i] = place - x.dtype.type(first[i])
    return first, share


@part
def lines_for(workers: Any, width: Any, x: Any) -> Any:
    """A line of pixels for each thread, far enough apart that threads share no line of the cache."""
    return np.empty((workers, width + 16), x.dtype)


@part
def interpolate_plane(
    plane: Any, worker: Any, lines: Any, x: Any, start: Any, height: Any, row: Any, down: Any, column: Any, right: Any,
    y: Any,
) -> None:  # fmt: skip
    one = x.dtype.type(1)
    width = lines.shape[1] - 16
    line = lines[worker, :width]
    for i in range(y.shape[1]):
        upper = x[plane, start + row[i], start : start + width]
        lower = x[plane, start + min(row[i] + 1, height - 1), start : start + width]
        out = y[plane, i]
        for j in range(line.size):
            line[j] = (one - down[i]) * upper[j] + down[i] * lower[j]
        for j in range(out.size):
            following = min(column[j] + 1, width - 1)
            out[j] = (one - right[j]) * line[column[j]] + right[j] * line[following]


@operation(array=interpolate_array)
def interpolate(x: Any, start: int, height: int, width: int, y: Any) -> None:
    """Write `y` from `x`."""
    row, down = places(height, y.shape[1], x)
    column, right = places(width, y.shape[2], x)
    workers = num_workers(y.size)
    arguments = (lines_for(workers, width, x), x, start, height, row, down, column, right, y)
    spread(interpolate_plane, len(x), workers, arguments)


def _steps(before: tuple[int, int], after: tuple[int, ...]) -> list[float]:
    """How far apart the rows and the columns of y lie."""
    return [(old - 1) / max(new - 1, 1) for old, new in zip(before, after, strict=True)]


@interpolate.cuda
def interpolate_cuda(kernels: Any, x: Any, start: int, height: int, width: int, y: Any) -> None:
    steps = _steps((height, width), y.shape[1:])
    kernels.interpolate(y.size, x, y, *x.shape[1:], start, height, width, *y.shape[1:], *steps)


def interpolate_backward_array(xp: Any, y_diff: Any, start: int, height: int, width: int, x_diff: Any) -> None:
    rows = _matrix(xp, start, height, y_diff.shape[1], x_diff, 1)
    x_diff[...] = rows.T @ y_diff @ _matrix(xp, start, width, y_diff.shape[2], x_diff, 2)


@part
def interpolate_plane_backward(
    plane: Any, worker: Any, lines: Any, y_diff: Any, start: Any, height: Any, row: Any, down: Any, column: Any,
    right: Any, x_diff: Any,
) -> None:  # fmt: skip
    one = x_diff.dtype.type(1)
    width = lines.shape[1] - 16
    line = lines[worker, :width]
    x_diff[plane] = 0
    for i in range(y_diff.shape[1]):
        line[:] = 0
        diff = y_diff[plane, i]
        for j in range(diff.size):
            following = min(column[j] + 1, width - 1)
            line[column[j]] += (one - right[j]) * diff[j]
            line[following] += right[j] * diff[j]
        upper = x_diff[plane, start + row[i], start : start + width]
        lower = x_diff[plane, start + min(row[i] + 1, height - 1), start : start + width]
        for j in range(line.size):
            upper[j] += (one - down[i]) * line[j]
            lower[j] += down[i] * line[j]


@operation(array=interpolate_backward_array)
def interpolate_backward(y_diff: Any, start: int, height: int, width: int, x_diff: Any) -> None:
    """Write what each pixel of `y_diff` gives to the four around it into `x_diff`, 0 where none gives anything."""
    row, down = places(height, y_diff.shape[1], x_diff)
    column, right = places(width, y_diff.shape[2], x_diff)
    workers = num_workers(y_diff.size)
    arguments = (lines_for(workers, width, x_diff), y_diff, start, height, row, down, column, right, x_diff)
    spread(interpolate_plane_backward, len(x_diff), workers, arguments)


@interpolate_backward.cuda
def interpolate_backward_cuda(kernels: Any, y_diff: Any, start: int, height: int, width: int, x_diff: Any) -> None:
    x_diff.fill(0)
    sizes = (*x_diff.shape[1:], start, height, width, *y_diff.shape[1:])
    kernels.interpolate_backward(y_diff.size, y_diff, x_diff, *sizes, *_steps((height, width), y_diff.shape[1:]))


def pick_array(xp: Any, x: Any, rows: Any, columns: Any, y: Any) -> None:
    y[...] = xp.take(xp.take(x, rows, axis=1), columns, axis=2)


@part
def pick_plane(plane: Any, worker: Any, x: Any, rows: Any, columns: Any, y: Any) -> None:
    for i in range(y.shape[1]):
        source, out = x[plane, rows[i]], y[plane, i]
        for j in range(out.size):
            out[j] = source[columns[j]]


@operation(array=pick_array)
def pick(x: Any, rows: Any, columns: Any, y: Any) -> None:
    """y[p, i, j] = x[p, rows[i], columns[j]]."""
    spread(pick_plane, len(x), num_workers(y.size), (x, rows, columns, y))


def pick_backward_array(xp: Any, y_diff: Any, rows: Any, columns: Any, x_diff: Any) -> None:
    chosen_rows = (xp.arange(x_diff.shape[1])[:, None] == rows).astype(x_diff.dtype)
    chosen_columns = (columns[:, None] == xp.arange(x_diff.shape[2])).astype(x_diff.dtype)
    x_diff[...] = chosen_rows @ y_diff @ chosen_columns


@part
def pick_plane_backward(plane: Any, worker: Any, y_diff: Any, rows: Any, columns: Any, x_diff: Any) -> None:
    x_diff[plane] = 0
    for i in range(y_diff.shape[1]):
        target, diff = x_diff[plane, rows[i]], y_diff[plane, i]
        for j in range(diff.size):
            target[columns[j]] += diff[j]


@operation(array=pick_backward_array)
def pick_backward(y_diff: Any, rows: Any, columns: Any, x_diff: Any) -> None:
    """Add each pixel of `y_diff` to the one of `x_diff` that it was picked from; the others are 0."""
    spread(pick_plane_backward, len(x_diff), num_workers(y_diff.size), (y_diff, rows, columns, x_diff))
