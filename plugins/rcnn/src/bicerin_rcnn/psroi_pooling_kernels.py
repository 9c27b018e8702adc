"""Means over the bins of regions, each bin from a map of its own, forward and backward.

Maps have the shape `(N, D, G, G, H, W)`: map (d, i, j) is for bin (i, j) of output d. Regions have the
shape `(R, 5)`, tops `(R, D, G, G)`; `image`, `rows` and `columns` are those of `regions.Bins`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from bicerin.kernels import host_operation, kernel, num_workers, part, spread
from bicerin_rcnn.regions import Bins, read_regions, scaled_bins


def average_pool_regions_reference(
    maps: np.ndarray, image: np.ndarray, rows: np.ndarray, columns: np.ndarray, top: np.ndarray
) -> None:
    for r, i, j in np.ndindex(len(image), rows.shape[1], columns.shape[1]):
        (y1, y2), (x1, x2) = rows[r, i], columns[r, j]
        empty = y1 >= y2 or x1 >= x2
        top[r, :, i, j] = 0 if empty else maps[image[r], :, i, j, y1:y2, x1:x2].mean(axis=(1, 2))


@part
def average_pool_region(task, worker, maps, image, rows, columns, top):  # type: ignore[no-untyped-def]
    """The means of one region for one output."""
    outputs = maps.shape[1]
    r, d = task // outputs, task % outputs
    for i in range(rows.shape[1]):
        y1, y2 = rows[r, i, 0], rows[r, i, 1]
        for j in range(columns.shape[1]):
            x1, x2 = columns[r, j, 0], columns[r, j, 1]
            plane = maps[image[r], d, i, j]
            total = maps.dtype.type(0)
            for y in range(y1, y2):
                for x in range(x1, x2):
                    total += plane[y, x]
            area = max(y2 - y1, 0) * max(x2 - x1, 0)
            top[r, d, i, j] = total / maps.dtype.type(max(area, 1))


@kernel(reference=average_pool_regions_reference)
def average_pool_regions(maps, image, rows, columns, top):  # type: ignore[no-untyped-def]
    """Write the means into `top`, `(R, D, G, G)`, 0 for an empty bin."""
    # A bin is as much work as some 16 elements elsewhere.
    workers = num_workers(16 * top.size)
    spread(average_pool_region, len(image) * maps.shape[1], workers, (maps, image, rows, columns, top))


def average_pool_regions_backward_reference(
    diff: np.ndarray, image: np.ndarray, rows: np.ndarray, columns: np.ndarray, top_diff: np.ndarray
) -> None:
    diff.fill(0)
    for r, i, j in np.ndindex(len(image), rows.shape[1], columns.shape[1]):
        (y1, y2), (x1, x2) = rows[r, i], columns[r, j]
        if y1 < y2 and x1 < x2:
            share = top_diff[r, :, i, j] / diff.dtype.type((y2 - y1) * (x2 - x1))
            diff[image[r], :, i, j, y1:y2, x1:x2] += share[:, None, None]


@part
def average_pool_bin_backward(task, worker, diff, image, rows, columns, top_diff):  # type: ignore[no-untyped-def]
    """All regions' shares of the map for one bin of one output."""
    bins = rows.shape[1] * columns.shape[1]
    d, i, j = task // bins, task % bins // columns.shape[1], task % columns.shape[1]
    for image_diff in diff:
        plane = image_diff[d, i, j]
        for y in range(plane.shape[0]):
            plane[y] = 0
    for r in range(len(image)):
        y1, y2 = rows[r, i, 0], rows[r, i, 1]
        x1, x2 = columns[r, j, 0], columns[r, j, 1]
        if y1 < y2 and x1 < x2:
            plane = diff[image[r], d, i, j]
            share = top_diff[r, d, i, j] / diff.dtype.type((y2 - y1) * (x2 - x1))
            for y in range(y1, y2):
                for x in range(x1, x2):
                    plane[y, x] += share


@kernel(reference=average_pool_regions_backward_reference)
def average_pool_regions_backward(diff, image, rows, columns, top_diff):  # type: ignore[no-untyped-def]
    """Write into `diff` the shares of the `top_diff` of all bins that a pixel lies in."""
    # A thread has maps to itself, since regions of one image overlap.
    units = diff.shape[1] * rows.shape[1] * columns.shape[1]
    spread(average_pool_bin_backward, units, num_workers(diff.size), (diff, image, rows, columns, top_diff))


@host_operation(compiled=True)
def average_pool(maps: np.ndarray, regions: np.ndarray, scale: float, y: np.ndarray) -> Bins | None:
    """Write the mean of each bin into y, 0 for an empty one. Returns the bins; a device computes them anew.

    Raises:
        LayerError: a region is not finite, or of an image that is not there; a device, which cannot raise, gives NaN.
    """
    images, _, group, _, height, width = maps.shape
    image, corners = read_regions(regions, images)
    x1, y1, x2, y2 = corners.T
    bins = Bins(image, scaled_bins(y1, y2, scale, group, height), scaled_bins(x1, x2, scale, group, width))
    average_pool_regions(maps, *bins, y)
    return bins


@average_pool.cuda
def average_pool_cuda(kernels: Any, maps: Any, regions: Any, scale: float, y: Any) -> None:
    kernels.average_pool(y.size, maps, regions, y, *_sizes(scale, maps))


@host_operation(compiled=True)
def average_pool_backward(
    y_diff: np.ndarray, regions: np.ndarray, scale: float, bins: Bins, x_diff: np.ndarray
) -> None:
    """Write into `x_diff` the shares of the `y_diff` of all bins that a pixel lies in; `average_pool` gave `bins`."""
    average_pool_regions_backward(x_diff, *bins, y_diff)


@average_pool_backward.cuda
def average_pool_backward_cuda(kernels: Any, y_diff: Any, regions: Any, scale: float, bins: None, x_diff: Any) -> None:
    x_diff.fill(0)
    kernels.average_backward(y_diff.size, y_diff, regions, x_diff, *_sizes(scale, x_diff))


def _sizes(scale: float, maps: Any) -> tuple[float, ...]:
    images, outputs, group, _, height, width = maps.shape
    return scale, images, outputs, height, width, group
