"""Means over moved bins of regions, each bin from a map of its own, and the gradients of maps and offsets.

Maps have the shape `(N, D, G, G, H, W)`, tops, their `numbers` of samples and `shares` (gradients by these) `(R, D, G,
G)`; `image` is int32, `(R,)`. A row of `frames`, `(R, 4)`, is where a region begins, down and to the right, and its
height and width; offsets, parts of these, have the shape `(R, classes, 2, P, P)`, to the right before down.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from bicerin.kernels import num_workers, operation, part, spread
from bicerin_rcnn.region_samples_kernels import region_corners

__all__ = ["pool", "pool_backward", "pool_offset_gradient", "region_corners"]


@part
def beginning(frame, offsets, group, i, j):  # type: ignore[no-untyped-def]
    """Where bin (i, j) begins, down and to the right, and the row and column of its offsets, those of one class."""
    parts = offsets.shape[1]
    row, column = i * parts // group, j * parts // group
    y = frame[0] + frame[2] * (offsets.dtype.type(i) / offsets.dtype.type(group) + offsets[1, row, column])
    x = frame[1] + frame[3] * (offsets.dtype.type(j) / offsets.dtype.type(group) + offsets[0, row, column])
    return y, x, row, column


@part
def settle_within(at, size):  # type: ignore[no-untyped-def]
    """Whether a sample counts, the pixels before and after it, and how far it is on, 0 to 1."""
    if not (at >= -0.5 and at <= size - 0.5):
        return False, 0, 0, at - at
    if at <= 0:
        return True, 0, 0, at - at
    before = int(at)
    if before >= size - 1:
        return True, size - 1, size - 1, at - at
    return True, before, before + 1, at - np.floor(at)


@part
def pool_region(task, worker, maps, image, frames, offsets, samples, y, numbers):  # type: ignore[no-untyped-def]
    """The means of one region for one output."""
    outputs, group, height, width = maps.shape[1], maps.shape[2], maps.shape[4], maps.shape[5]
    r, d = task // outputs, task % outputs
    moved, frame = offsets[r, d // (outputs // offsets.shape[1])], frames[r]
    zero, one, step = maps.dtype.type(0), maps.dtype.type(1), maps.dtype.type(group * samples)
    for i in range(group):
        for j in range(group):
            plane = maps[image[r], d, i, j]
            start_y, start_x, _, _ = beginning(frame, moved, group, i, j)
            total, number = zero, 0
            for a in range(samples):
                inside_y, top, bottom, down = settle_within(start_y + maps.dtype.type(a) * frame[2] / step, height)
                if not inside_y:
                    continue
                for b in range(samples):
                    inside_x, left, right, across = settle_within(start_x + maps.dtype.type(b) * frame[3] / step, width)
                    if inside_x:
                        upper = (one - across) * plane[top, left] + across * plane[top, right]
                        lower = (one - across) * plane[bottom, left] + across * plane[bottom, right]
                        total += (one - down) * upper + down * lower
                        number += 1
            y[r, d, i, j] = total / maps.dtype.type(max(number, 1))
            numbers[r, d, i, j] = number


@part
def pool_output_backward(d, worker, shares, image, frames, offsets, samples, x_diff):  # type: ignore[no-untyped-def]
    """The gradient of the maps of one output, from all regions."""
    outputs, group, height, width = x_diff.shape[1], x_diff.shape[2], x_diff.shape[4], x_diff.shape[5]
    one, step = x_diff.dtype.type(1), x_diff.dtype.type(group * samples)
    x_diff[:, d] = x_diff.dtype.type(0)
    for r in range(len(image)):
        moved, frame = offsets[r, d // (outputs // offsets.shape[1])], frames[r]
        for i in range(group):
            for j in range(group):
                plane, share = x_diff[image[r], d, i, j], shares[r, d, i, j]
                start_y, start_x, _, _ = beginning(frame, moved, group, i, j)
                for a in range(samples):
                    inside_y, top, bottom, down = settle_within(
                        start_y + x_diff.dtype.type(a) * frame[2] / step, height
                    )
                    if not inside_y:
                        continue
                    for b in range(samples):
                        inside_x, left, right, across = settle_within(
                            start_x + x_diff.dtype.type(b) * frame[3] / step, width
                        )
                        if inside_x:
                            plane[top, left] += (one - down) * (one - across) * share
                            plane[top, right] += (one - down) * across * share
                            plane[bottom, left] += down * (one - across) * share
                            plane[bottom, right] += down * across * share


@part
def pool_class_offsets(task, worker, shares, maps, image, frames, offsets, samples, diff):  # type: ignore[no-untyped-def]
    """The gradient of the offsets of one class of one region."""
    outputs, group, height, width = maps.shape[1], maps.shape[2], maps.shape[4], maps.shape[5]
    classes = offsets.shape[1]
    r, c, each = task // classes, task % classes, outputs // classes
    moved, frame, gradient = offsets[r, c], frames[r], diff[r, c]
    one, step = maps.dtype.type(1), maps.dtype.type(group * samples)
    gradient[:] = maps.dtype.type(0)
    for d in range(c * each, (c + 1) * each):
        for i in range(group):
            for j in range(group):
                plane, share = maps[image[r], d, i, j], shares[r, d, i, j]
                start_y, start_x, row, column = beginning(frame, moved, group, i, j)
                for a in range(samples):
                    inside_y, top, bottom, down = settle_within(start_y + maps.dtype.type(a) * frame[2] / step, height)
                    if not inside_y:
                        continue
                    for b in range(samples):
                        inside_x, left, right, across = settle_within(
                            start_x + maps.dtype.type(b) * frame[3] / step, width
                        )
                        if inside_x:
                            upper = plane[top, right] - plane[top, left]
                            lower = plane[bottom, right] - plane[bottom, left]
                            gradient[0, row, column] += ((one - down) * upper + down * lower) * share * frame[3]
                            before = plane[bottom, left] - plane[top, left]
                            after = plane[bottom, right] - plane[top, right]
                            gradient[1, row, column] += ((one - across) * before + across * after) * share * frame[2]


def _samples(frames: np.ndarray, offsets: np.ndarray, samples: int, maps: np.ndarray) -> Iterator[Any]:
    """Of each output and sample that counts: its index, its places, weights, and how these change down and across."""
    _, outputs, group, _, height, width = maps.shape
    classes, parts = offsets.shape[1], offsets.shape[-1]
    for r, d, i, j in np.ndindex(len(frames), outputs, group, group):
        c, row, column = d // (outputs // classes), i * parts // group, j * parts // group
        start = frames[r, :2] + frames[r, 2:] * (np.array([i, j]) / group + offsets[r, c, ::-1, row, column])
        for a, b in np.ndindex(samples, samples):
            at = start + np.array([a, b]) * frames[r, 2:] / (group * samples)
            limits = np.array([height, width])
            if not ((at >= -0.5) & (at <= limits - 0.5)).all():
                continue
            moves = (at > 0) & (at < limits - 1)
            at = np.clip(at, 0, limits - 1)
            before = np.floor(at).astype(int)
            after, share = np.minimum(before + 1, limits - 1), at - before
            weights = np.stack([1 - share, share])
            places = np.ix_([before[0], after[0]], [before[1], after[1]])
            yield (
                (r, d, i, j),
                (c, row, column),
                places,
                np.outer(weights[:, 0], weights[:, 1]),
                np.outer([-1, 1], weights[:, 1]) * moves[0],
                np.outer(weights[:, 0], [-1, 1]) * moves[1],
            )


def pool_reference(maps: Any, image: Any, frames: Any, offsets: Any, samples: int, y: Any, numbers: Any) -> None:
    y.fill(0)
    numbers.fill(0)
    for (r, d, i, j), _, places, weights, _, _ in _samples(frames, offsets, samples, maps):
        y[r, d, i, j] += (maps[image[r], d, i, j][places] * weights).sum()
        numbers[r, d, i, j] += 1
    y /= np.maximum(numbers, 1)


@operation(reference=pool_reference)
def pool(maps: Any, image: Any, frames: Any, offsets: Any, samples: int, y: Any, numbers: Any) -> None:
    """Write the mean of each bin into y, 0 for one without samples, and how many samples it has into `numbers`."""
    workers = num_workers(8 * samples * samples * y.size)
    spread(pool_region, y.shape[0] * y.shape[1], workers, (maps, image, frames, offsets, samples, y, numbers))


@pool.cuda
def pool_cuda(
    kernels: Any, maps: Any, image: Any, frames: Any, offsets: Any, samples: int, y: Any, numbers: Any
) -> None:
    kernels.pool(y.size, maps, image, frames, offsets, y, numbers, *_sizes(maps, offsets, samples))


def pool_backward_reference(shares: Any, image: Any, frames: Any, offsets: Any, samples: int, x_diff: Any) -> None:
    x_diff.fill(0)
    for (r, d, i, j), _, places, weights, _, _ in _samples(frames, offsets, samples, x_diff):
        np.add.at(x_diff[image[r], d, i, j], places, weights * shares[r, d, i, j])


@operation(reference=pool_backward_reference)
def pool_backward(shares: Any, image: Any, frames: Any, offsets: Any, samples: int, x_diff: Any) -> None:
    """Write into `x_diff` the shares of all samples that a pixel counts in."""
    # A thread has an output's maps to itself, since regions of one image overlap.
    arguments = (shares, image, frames, offsets, samples, x_diff)
    spread(pool_output_backward, x_diff.shape[1], num_workers(x_diff.size), arguments)


@pool_backward.cuda
def pool_backward_cuda(
    kernels: Any, shares: Any, image: Any, frames: Any, offsets: Any, samples: int, x_diff: Any
) -> None:
    x_diff.fill(0)
    kernels.pool_backward(shares.size, shares, image, frames, offsets, x_diff, *_sizes(x_diff, offsets, samples))


def pool_offset_gradient_reference(
    shares: Any, maps: Any, image: Any, frames: Any, offsets: Any, samples: int, offset_diff: Any
) -> None:
    offset_diff.fill(0)
    for (r, d, i, j), (c, row, column), places, _, by_y, by_x in _samples(frames, offsets, samples, maps):
        pixels = maps[image[r], d, i, j][places] * shares[r, d, i, j]
        offset_diff[r, c, 0, row, column] += (pixels * by_x).sum() * frames[r, 3]
        offset_diff[r, c, 1, row, column] += (pixels * by_y).sum() * frames[r, 2]


@operation(reference=pool_offset_gradient_reference)
def pool_offset_gradient(
    shares: Any, maps: Any, image: Any, frames: Any, offsets: Any, samples: int, offset_diff: Any
) -> None:
    """Write how the tops change with the offsets, as parts of the regions' sides."""
    tasks, work = offsets.shape[0] * offsets.shape[1], 8 * samples * samples * shares.size
    arguments = (shares, maps, image, frames, offsets, samples, offset_diff)
    spread(pool_class_offsets, tasks, num_workers(work), arguments)


@pool_offset_gradient.cuda
def pool_offset_gradient_cuda(
    kernels: Any, shares: Any, maps: Any, image: Any, frames: Any, offsets: Any, samples: int, offset_diff: Any
) -> None:
    offset_diff.fill(0)
    sizes = _sizes(maps, offsets, samples)
    kernels.pool_offset_gradient(shares.size, shares, maps, image, frames, offsets, offset_diff, *sizes)


def _sizes(maps: Any, offsets: Any, samples: int) -> tuple[int, ...]:
    _, outputs, group, _, height, width = maps.shape
    return outputs, group, height, width, offsets.shape[1], offsets.shape[-1], samples
