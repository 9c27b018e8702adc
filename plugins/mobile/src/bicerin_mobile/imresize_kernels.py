"""Planes of several scales, (S, C, H, W), resized by 4 x 4 taps and averaged: (C, H', W').

`row` and `column` are the places of the taps, (S, H', 4) and (S, W', 4), `down` and `right` their weights.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from bicerin.kernels import num_workers, operation, part, spread


def _matrices(xp: Any, place: Any, weight: Any, length: int) -> Any:
    """What each row or column of the bottom gives to each of the top, shape (S, after, length)."""
    pixel = xp.arange(length)
    return ((place[..., None] == pixel) * weight[..., None]).sum(axis=2)


def resize_array(xp: Any, x: Any, row: Any, down: Any, column: Any, right: Any, y: Any) -> None:
    rows, columns = _matrices(xp, row, down, x.shape[2]), _matrices(xp, column, right, x.shape[3])
    resized = rows[:, None] @ x @ columns.transpose(0, 2, 1)[:, None]
    y[...] = resized.sum(axis=0) / max(len(x), 1)


@part
def lines_for(workers: Any, width: Any, x: Any) -> Any:
    """A line of pixels for each thread, far enough apart that threads share no line of the cache."""
    return np.empty((workers, width + 16), x.dtype)


@part
def resize_plane(
    plane: Any, worker: Any, lines: Any, x: Any, row: Any, down: Any, column: Any, right: Any, y: Any
) -> None:
    width, out = x.shape[3], y[plane]
    line = lines[worker, :width]
    share = x.dtype.type(1) / x.dtype.type(max(x.shape[0], 1))
    out[:, :] = 0
    for scale in range(x.shape[0]):
        for i in range(out.shape[0]):
            line[:] = 0
            for k in range(4):
                source, weight = x[scale, plane, row[scale, i, k]], down[scale, i, k] * share
                for j in range(line.size):
                    line[j] += weight * source[j]
            for j in range(out.shape[1]):
                for k in range(4):
                    out[i, j] += right[scale, j, k] * line[column[scale, j, k]]


@operation(array=resize_array)
def resize(x: Any, row: Any, down: Any, column: Any, right: Any, y: Any) -> None:
    """Write the mean of the resized planes of `x` into `y`."""
    workers = num_workers(y.size * max(x.shape[0], 1))
    spread(resize_plane, len(y), workers, (lines_for(workers, x.shape[3], x), x, row, down, column, right, y))


def resize_backward_array(xp: Any, y_diff: Any, row: Any, down: Any, column: Any, right: Any, x_diff: Any) -> None:
    rows, columns = _matrices(xp, row, down, x_diff.shape[2]), _matrices(xp, column, right, x_diff.shape[3])
    x_diff[...] = rows.transpose(0, 2, 1)[:, None] @ y_diff @ columns[:, None] / max(len(x_diff), 1)


@part
def resize_plane_backward(
    plane: Any, worker: Any, lines: Any, y_diff: Any, row: Any, down: Any, column: Any, right: Any, x_diff: Any
) -> None:
    width, diff = x_diff.shape[3], y_diff[plane]
    line = lines[worker, :width]
    share = x_diff.dtype.type(1) / x_diff.dtype.type(max(x_diff.shape[0], 1))
    for scale in range(x_diff.shape[0]):
        x_diff[scale, plane] = 0
        for i in range(diff.shape[0]):
            line[:] = 0
            for j in range(diff.shape[1]):
                for k in range(4):
                    line[column[scale, j, k]] += right[scale, j, k] * diff[i, j]
            for k in range(4):
                target, weight = x_diff[scale, plane, row[scale, i, k]], down[scale, i, k] * share
                for j in range(line.size):
                    target[j] += weight * line[j]


@operation(array=resize_backward_array)
def resize_backward(y_diff: Any, row: Any, down: Any, column: Any, right: Any, x_diff: Any) -> None:
    """Write what each pixel of `y_diff` gives to its taps into `x_diff`."""
    workers = num_workers(y_diff.size * max(x_diff.shape[0], 1))
    arguments = (lines_for(workers, x_diff.shape[3], x_diff), y_diff, row, down, column, right, x_diff)
    spread(resize_plane_backward, len(y_diff), workers, arguments)
