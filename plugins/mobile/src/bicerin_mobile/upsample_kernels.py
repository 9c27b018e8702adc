"""Planes with repeated pixels, `(P, H, W)` to `(P, s H, s W)`, and pixels put into flat planes, `(P, H W)`."""

from __future__ import annotations

import numpy as np

from bicerin.kernels import kernel, num_workers, part, spread


def _blocks(small: np.ndarray, large: np.ndarray) -> np.ndarray:
    """The large planes as blocks, `(P, H, s, W, s)`."""
    planes, height, width = small.shape
    scale = large.shape[2] // width if width else 1
    return large.reshape(planes, height, scale, width, scale)


def repeat_reference(x: np.ndarray, y: np.ndarray) -> None:
    _blocks(x, y)[...] = x[:, :, None, :, None]


@part
def repeat_plane(plane, worker, x, y):  # type: ignore[no-untyped-def]
    _, height, width = x.shape
    scale = y.shape[2] // max(width, 1)
    for i in range(height):
        row, first = x[plane, i], y[plane, i * scale]
        for j in range(row.size):
            for k in range(scale):
                first[j * scale + k] = row[j]
        for k in range(1, scale):
            other = y[plane, i * scale + k]
            for j in range(other.size):
                other[j] = first[j]


@kernel(reference=repeat_reference)
def repeat(x, y):  # type: ignore[no-untyped-def]
    spread(repeat_plane, len(x), num_workers(y.size), (x, y))


def repeat_backward_reference(y_diff: np.ndarray, x_diff: np.ndarray) -> None:
    _blocks(x_diff, y_diff).sum(axis=(2, 4), out=x_diff)


@part
def repeat_plane_backward(plane, worker, y_diff, x_diff):  # type: ignore[no-untyped-def]
    _, height, width = x_diff.shape
    scale = y_diff.shape[2] // max(width, 1)
    for i in range(height):
        row = x_diff[plane, i]
        if scale == 2:  # The usual one, known when compiling, runs in vectors.
            upper, lower = y_diff[plane, 2 * i], y_diff[plane, 2 * i + 1]
            for j in range(row.size):
                row[j] = upper[2 * j] + upper[2 * j + 1] + lower[2 * j] + lower[2 * j + 1]
            continue
        for j in range(row.size):
            total = x_diff.dtype.type(0)
            for k in range(scale):
                for m in range(scale):
                    total += y_diff[plane, i * scale + k, j * scale + m]
            row[j] = total


@kernel(reference=repeat_backward_reference)
def repeat_backward(y_diff, x_diff):  # type: ignore[no-untyped-def]
    spread(repeat_plane_backward, len(x_diff), num_workers(y_diff.size), (y_diff, x_diff))


def unpool_reference(x: np.ndarray, places: np.ndarray, y: np.ndarray) -> None:
    y.fill(0)
    for plane, row in enumerate(places):
        # From the last on, each place once: where several pixels go to one place, the last stays.
        chosen, source = np.unique(row[::-1], return_index=True)
        y[plane, chosen] = x[plane, ::-1][source]


@part
def unpool_plane(plane, worker, x, places, y):  # type: ignore[no-untyped-def]
    source, place, target = x[plane], places[plane], y[plane]
    for i in range(target.size):
        target[i] = 0
    for i in range(source.size):
        target[place[i]] = source[i]


@kernel(reference=unpool_reference)
def unpool(x, places, y):  # type: ignore[no-untyped-def]
    spread(unpool_plane, len(x), num_workers(y.size), (x, places, y))
