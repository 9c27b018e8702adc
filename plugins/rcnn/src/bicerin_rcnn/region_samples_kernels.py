"""Sums of pixels of regions, each by its taps, forward and backward.

Maps have the shape `(N, D, G, G, H, W)`: bin (i, j) of output d is made of map (d, i, j), or of (d, 0, 0) where G is 1.
Tops have the shape `(R, D, pooled_h, pooled_w)`, `image` has `(R,)`, int32, and `rows` and `columns` are the two arrays
of `taps.Taps`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from bicerin.kernels import host_operation, num_workers, operation, part, spread
from bicerin_rcnn.regions import read_regions


@host_operation
def region_corners(regions: Any, images: int) -> tuple[Any, Any, Any]:
    """The image of each region, int32 `(R,)`, its corners `(R, 4)`, and on a device, which cannot raise, NaN for one
    that makes no sense, and 1 otherwise: what is made of it is to be NaN.

    Raises:
        LayerError: on the host, a region is not finite, or of an image that is not there.
    """
    image, corners = read_regions(regions, images)
    return image.astype(np.int32), corners, None


@region_corners.cuda
def region_corners_cuda(kernels: Any, regions: Any, images: int) -> tuple[Any, Any, Any]:
    xp = kernels.xp
    sensible = (xp.abs(regions) < 1e30).all(axis=1) & (regions[:, 0] > -1) & (regions[:, 0] < images)
    regions = xp.where(sensible[:, None], regions, 0)
    sense = xp.where(sensible, 1, np.nan).astype(regions.dtype)
    return regions[:, 0].astype(np.int32), regions[:, 1:], sense


def _products(rows: Any, columns: Any, r: int, i: int, j: int) -> tuple[Any, Any]:
    """The pixels that an output is made of, as an index for the last two axes of maps, and what each counts."""
    y, x = np.nonzero(rows[1][r, i])[0], np.nonzero(columns[1][r, j])[0]
    places = np.ix_(rows[0][r, i, y], columns[0][r, j, x])
    return places, np.outer(rows[1][r, i, y], columns[1][r, j, x])


def sample_reference(maps: Any, image: Any, rows: Any, columns: Any, y: Any) -> None:
    group = maps.shape[2]
    for r, i, j in np.ndindex(len(y), *y.shape[2:]):
        (down, across), weights = _products(rows, columns, r, i, j)
        y[r, :, i, j] = (maps[image[r], :, i % group, j % group][:, down, across] * weights).sum(axis=(1, 2))


@part
def sample_region(task, worker, maps, image, rows, columns, y):  # type: ignore[no-untyped-def]
    """The outputs of one region in one output map."""
    outputs, group = maps.shape[1], maps.shape[2]
    (row, down), (column, across) = rows, columns
    r, d = task // outputs, task % outputs
    zero = maps.dtype.type(0)
    for i in range(y.shape[2]):
        for j in range(y.shape[3]):
            plane = maps[image[r], d, i % group, j % group]
            total = zero
            for a in range(row.shape[2]):
                if down[r, i, a] == zero:
                    continue
                for b in range(column.shape[2]):
                    if across[r, j, b] != zero:
                        total += down[r, i, a] * across[r, j, b] * plane[row[r, i, a], column[r, j, b]]
            y[r, d, i, j] = total


@operation(reference=sample_reference)
def sample(maps: Any, image: Any, rows: Any, columns: Any, y: Any) -> None:
    """Write into y what each output is made of."""
    workers = num_workers(y.size * rows[0].shape[2] * columns[0].shape[2])
    spread(sample_region, y.shape[0] * y.shape[1], workers, (maps, image, rows, columns, y))


@sample.cuda
def sample_cuda(kernels: Any, maps: Any, image: Any, rows: Any, columns: Any, y: Any) -> None:
    kernels.sample(y.size, maps, image, *rows, *columns, y, *_sizes(maps, rows, columns, y))


def sample_backward_reference(y_diff: Any, image: Any, rows: Any, columns: Any, x_diff: Any) -> None:
    x_diff.fill(0)
    group = x_diff.shape[2]
    for r, i, j in np.ndindex(len(y_diff), *y_diff.shape[2:]):
        (down, across), weights = _products(rows, columns, r, i, j)
        for d, plane in enumerate(x_diff[image[r], :, i % group, j % group]):
            np.add.at(plane, (down, across), y_diff[r, d, i, j] * weights)


@part
def sample_output_backward(d, worker, y_diff, image, rows, columns, x_diff):  # type: ignore[no-untyped-def]
    """The gradient of the maps of one output, from all regions."""
    group = x_diff.shape[2]
    (row, down), (column, across) = rows, columns
    zero = x_diff.dtype.type(0)
    x_diff[:, d] = zero
    for r in range(y_diff.shape[0]):
        for i in range(y_diff.shape[2]):
            for j in range(y_diff.shape[3]):
                plane = x_diff[image[r], d, i % group, j % group]
                for a in range(row.shape[2]):
                    share = down[r, i, a] * y_diff[r, d, i, j]
                    if share == zero:
                        continue
                    for b in range(column.shape[2]):
                        if across[r, j, b] != zero:
                            plane[row[r, i, a], column[r, j, b]] += share * across[r, j, b]


@operation(reference=sample_backward_reference)
def sample_backward(y_diff: Any, image: Any, rows: Any, columns: Any, x_diff: Any) -> None:
    """Write into `x_diff` the shares of the `y_diff` of all outputs that a pixel counts in."""
    # A thread has an output's maps to itself, since regions of one image overlap.
    spread(sample_output_backward, x_diff.shape[1], num_workers(x_diff.size), (y_diff, image, rows, columns, x_diff))


@sample_backward.cuda
def sample_backward_cuda(kernels: Any, y_diff: Any, image: Any, rows: Any, columns: Any, x_diff: Any) -> None:
    x_diff.fill(0)
    kernels.sample_backward(y_diff.size, y_diff, image, *rows, *columns, x_diff, *_sizes(x_diff, rows, columns, y_diff))


def _sizes(maps: Any, rows: Any, columns: Any, y: Any) -> tuple[int, ...]:
    _, outputs, group, _, height, width = maps.shape
    return outputs, group, height, width, *y.shape[2:], rows[0].shape[2], columns[0].shape[2]
