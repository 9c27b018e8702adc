"""Planes with repeated pixels, (P, H, W) to (P, s H, s W), and pixels put back into flat planes, (P, H W)."""

from __future__ import annotations

from typing import Any

import numpy as np

from bicerin.kernels import num_workers, operation, part, spread


def _scale(small: Any, large: Any) -> int:
    return large.shape[2] // max(small.shape[2], 1)


def _blocks(small: Any, large: Any) -> Any:
    """The large planes as blocks, (P, H, s, W, s)."""
    planes, height, width = small.shape
    scale = _scale(small, large)
    return large.reshape(planes, height, scale, width, scale)


def repeat_array(xp: Any, x: Any, y: Any) -> None:
    _blocks(x, y)[...] = x[:, :, None, :, None]


@part
def repeat_plane(plane: Any, worker: Any, x: Any, y: Any) -> None:
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


@operation(array=repeat_array)
def repeat(x: Any, y: Any) -> None:
    spread(repeat_plane, len(x), num_workers(y.size), (x, y))


@repeat.cuda
def repeat_cuda(kernels: Any, x: Any, y: Any) -> None:
    kernels.repeat(y.size, x, y, *x.shape[1:], _scale(x, y))


def repeat_backward_array(xp: Any, y_diff: Any, x_diff: Any) -> None:
    _blocks(x_diff, y_diff).sum(axis=(2, 4), out=x_diff)


@part
def repeat_plane_backward(plane: Any, worker: Any, y_diff: Any, x_diff: Any) -> None:
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


@operation(array=repeat_backward_array)
def repeat_backward(y_diff: Any, x_diff: Any) -> None:
    spread(repeat_plane_backward, len(x_diff), num_workers(y_diff.size), (y_diff, x_diff))


@repeat_backward.cuda
def repeat_backward_cuda(kernels: Any, y_diff: Any, x_diff: Any) -> None:
    kernels.repeat_backward(x_diff.size, y_diff, x_diff, *x_diff.shape[1:], _scale(x_diff, y_diff))


def outside(places: Any, size: int) -> Any:
    """Which places are not in a plane of `size` pixels; NaN is not."""
    return ~((places > -1) & (places < size))


def unpool_array(xp: Any, x: Any, places: Any, source: Any, y: Any) -> bool:
    y.fill(0)
    if outside(places, y.shape[1]).any():
        return True
    for plane, row in enumerate(places.astype(np.int64)):
        # From the last on, each place once: where several pixels go to one place, the last stays.
        chosen, pixels = xp.unique(row[::-1], return_index=True)
        y[plane, chosen] = x[plane, ::-1][pixels]
    return False


@part
def unpool_plane(plane: Any, worker: Any, x: Any, places: Any, y: Any, wrong: Any) -> None:
    pixels, place, target = x[plane], places[plane], y[plane]
    for i in range(target.size):
        target[i] = 0
    for i in range(pixels.size):
        if place[i] > -1 and place[i] < target.size:
            target[np.int64(place[i])] = pixels[i]
        else:
            wrong[plane] = 1


@operation(array=unpool_array)
def unpool(x: Any, places: Any, source: Any, y: Any) -> bool:
    """y[p, places[p, i]] = x[p, i], the last of several; 0 where there is none. Say whether any place is outside.

    Args:
        places: of x's shape, and its dtype.
        source: scratch memory of devices, of y's shape, int32. They do not say whether a place is outside, since
            somebody would have to wait for them; the plane then has a NaN.
    """
    wrong = np.zeros(len(x), np.uint8)
    spread(unpool_plane, len(x), num_workers(y.size), (x, places, y, wrong))
    return bool(wrong.any())


@unpool.cuda
def unpool_cuda(kernels: Any, x: Any, places: Any, source: Any, y: Any) -> bool:
    source.fill(-1)
    kernels.find_sources(x.size, places, source, x.shape[1], y.shape[1])
    kernels.put_back(y.size, x, source, y)
    return False


def unpool_backward_array(xp: Any, y_diff: Any, places: Any, x_diff: Any) -> None:
    wrong = outside(places, y_diff.shape[1])
    index = xp.where(wrong, 0, places).astype(np.int64)
    x_diff[...] = xp.where(wrong, xp.nan, xp.take_along_axis(y_diff, index, axis=1))


@part
def unpool_plane_backward(plane: Any, worker: Any, y_diff: Any, places: Any, x_diff: Any) -> None:
    diff, place, target = y_diff[plane], places[plane], x_diff[plane]
    for i in range(target.size):
        inside = place[i] > -1 and place[i] < diff.size
        target[i] = diff[np.int64(place[i])] if inside else np.nan


@operation(array=unpool_backward_array)
def unpool_backward(y_diff: Any, places: Any, x_diff: Any) -> None:
    """x_diff[p, i] = y_diff[p, places[p, i]]; NaN for a place outside."""
    spread(unpool_plane_backward, len(x_diff), num_workers(x_diff.size), (y_diff, places, x_diff))


@unpool_backward.cuda
def unpool_backward_cuda(kernels: Any, y_diff: Any, places: Any, x_diff: Any) -> None:
    kernels.put_back_backward(x_diff.size, y_diff, places, x_diff, x_diff.shape[1], y_diff.shape[1])
