"""Maxima over the bins of regions, forward and backward.

Maps have the shape `(N, C, H, W)`, regions `(R, 5)`, tops and `mask` `(R, C, pooled_h, pooled_w)`; `image`, `rows` and
`columns` are those of `regions.Bins`. A maximum starts from the least float32, and only what is greater replaces it, so
that among equal values the first in row-major order wins and NaN never does. `mask` holds its place in the plane,
y * W + x, or -1.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from bicerin.kernels import host_operation, kernel, num_workers, part, spread
from bicerin_rcnn.regions import Bins, read_regions, whole_bins

#: Where Caffe starts a maximum, for float64 maps too.
LOWEST = float(np.finfo(np.float32).min)


def max_pool_regions_reference(
    maps: np.ndarray, image: np.ndarray, rows: np.ndarray, columns: np.ndarray, top: np.ndarray, mask: np.ndarray
) -> None:
    width = maps.shape[3]
    for r, i, j in np.ndindex(len(image), rows.shape[1], columns.shape[1]):
        (y1, y2), (x1, x2) = rows[r, i], columns[r, j]
        if y1 >= y2 or x1 >= x2:
            top[r, :, i, j] = 0
            mask[r, :, i, j] = -1
            continue
        window = maps[image[r], :, y1:y2, x1:x2].reshape(maps.shape[1], -1)
        window = np.where(window > LOWEST, window, LOWEST)
        first = window.argmax(axis=1)
        best = window.max(axis=1)
        top[r, :, i, j] = best
        mask[r, :, i, j] = np.where(best > LOWEST, (y1 + first // (x2 - x1)) * width + x1 + first % (x2 - x1), -1)


@part
def max_pool_region(task, worker, maps, image, rows, columns, top, mask):  # type: ignore[no-untyped-def]
    """The maxima of one region in one channel."""
    channels, width = maps.shape[1], maps.shape[3]
    r, c = task // channels, task % channels
    plane = maps[image[r], c]
    for i in range(rows.shape[1]):
        y1, y2 = rows[r, i, 0], rows[r, i, 1]
        for j in range(columns.shape[1]):
            x1, x2 = columns[r, j, 0], columns[r, j, 1]
            best, place = maps.dtype.type(LOWEST), -1
            for y in range(y1, y2):
                for x in range(x1, x2):
                    if plane[y, x] > best:
                        best, place = plane[y, x], y * width + x
            if y1 >= y2 or x1 >= x2:
                best = maps.dtype.type(0)
            top[r, c, i, j] = best
            mask[r, c, i, j] = place


@kernel(reference=max_pool_regions_reference)
def max_pool_regions(maps, image, rows, columns, top, mask):  # type: ignore[no-untyped-def]
    """Write the maxima into `top`, `(R, C, pooled_h, pooled_w)`, 0 for an empty bin, and their places into `mask`."""
    # A bin is as much work as some 16 elements elsewhere.
    workers = num_workers(16 * top.size)
    spread(max_pool_region, len(image) * maps.shape[1], workers, (maps, image, rows, columns, top, mask))


def scatter_to_regions_reference(diff: np.ndarray, image: np.ndarray, top_diff: np.ndarray, mask: np.ndarray) -> None:
    diff.fill(0)
    r, c, i, j = np.nonzero(mask >= 0)
    y, x = np.divmod(mask[r, c, i, j], diff.shape[3])
    np.add.at(diff, (image[r], c, y, x), top_diff[r, c, i, j])


@part
def scatter_to_channel(c, worker, diff, image, top_diff, mask):  # type: ignore[no-untyped-def]
    width = diff.shape[3]
    diff[:, c] = 0
    for r in range(len(image)):
        plane = diff[image[r], c]
        for i in range(mask.shape[2]):
            for j in range(mask.shape[3]):
                place = mask[r, c, i, j]
                if place >= 0:
                    plane[place // width, place % width] += top_diff[r, c, i, j]


@kernel(reference=scatter_to_regions_reference)
def scatter_to_regions(diff, image, top_diff, mask):  # type: ignore[no-untyped-def]
    """Write into `diff`, `(N, C, H, W)`, the sum of the `top_diff` of all bins that chose a pixel."""
    # A thread has channels to itself, since regions of one image overlap.
    spread(scatter_to_channel, diff.shape[1], num_workers(diff.size), (diff, image, top_diff, mask))


@host_operation(compiled=True)
def max_pool(maps: np.ndarray, regions: np.ndarray, scale: float, y: np.ndarray, mask: np.ndarray) -> None:
    """Write the maximum of each bin into y, 0 for an empty one, and its place into `mask`.

    Raises:
        LayerError: a region is not finite, or of an image that is not there; a device, which cannot raise, gives NaN.
    """
    image, corners = read_regions(regions, len(maps))
    x1, y1, x2, y2 = corners.T
    rows = whole_bins(y1, y2, scale, y.shape[2], maps.shape[2])
    columns = whole_bins(x1, x2, scale, y.shape[3], maps.shape[3])
    max_pool_regions(maps, *Bins(image, rows, columns), y, mask)


@max_pool.cuda
def max_pool_cuda(kernels: Any, maps: Any, regions: Any, scale: float, y: Any, mask: Any) -> None:
    kernels.max_pool(y.size, maps, regions, y, mask, scale, *maps.shape, *y.shape[2:])


@host_operation(compiled=True)
def max_pool_backward(y_diff: np.ndarray, regions: np.ndarray, mask: np.ndarray, x_diff: np.ndarray) -> None:
    """Write into `x_diff` the sum of the `y_diff` of all bins that chose a pixel."""
    scatter_to_regions(x_diff, regions[:, 0].astype(np.int64), y_diff, mask)


@max_pool_backward.cuda
def max_pool_backward_cuda(kernels: Any, y_diff: Any, regions: Any, mask: Any, x_diff: Any) -> None:
    x_diff.fill(0)
    kernels.max_backward(mask.size, y_diff, regions, mask, x_diff, *x_diff.shape[1:], mask.shape[2] * mask.shape[3])
