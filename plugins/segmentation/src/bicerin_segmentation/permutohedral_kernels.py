"""The permutohedral lattice: which simplex each point is in, and a Gaussian blur of values on the simplices' corners.

Points have `d` features, P of them; a simplex has d + 1 corners, each an integer vector of which the first d numbers
are its key. Simplices are found in float32 whatever the values are, so that every dtype and device finds the same.

Adams, Baek and Davis, "Fast high-dimensional filtering using the permutohedral lattice", 2010.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from bicerin.kernels import num_workers, operation, part, spread

#: How many planes a worker filters at once, and of how many points it finds the simplices.
BLOCK = 8
POINTS = 1024
#: How many features there may be: a device keeps a point's numbers in registers.
MOST_FEATURES = 15


def elevation_scales(features: int) -> np.ndarray:
    """What each feature is multiplied with, so that the blur's standard deviation is 1 feature; float32, (d,)."""
    i = np.arange(features)
    return (np.sqrt(2 / 3) * (features + 1) / np.sqrt((i + 1) * (i + 2))).astype(np.float32)


def simplices_array(xp: Any, features: Any, keys: Any, weights: Any) -> None:
    count, d = features.shape
    scales = elevation_scales(d)
    elevated = xp.empty((d + 1, count), np.float32)
    total = xp.zeros(count, np.float32)
    for j in range(d, 0, -1):
        scaled = features[:, j - 1] * scales[j - 1]
        elevated[j] = total - np.float32(j) * scaled
        total = total + scaled
    elevated[0] = total
    with np.errstate(invalid="ignore"):
        nearest = xp.rint(elevated * np.float32(1 / (d + 1))).astype(np.int32)
    apart = elevated - (nearest * np.int32(d + 1)).astype(np.float32)
    rank = xp.zeros((d + 1, count), np.int32)
    for i in range(d + 1):
        for j in range(i + 1, d + 1):
            less = apart[i] < apart[j]
            rank[i] += less
            rank[j] += ~less
    # The nearest points may not be in the plane: those that were moved the most go back by one step.
    rank += nearest.sum(axis=0, dtype=np.int32)
    step = (rank < 0).astype(np.int32) - (rank > d).astype(np.int32)
    rank += step * np.int32(d + 1)
    corner = (nearest + step) * np.int32(d + 1)
    apart = (elevated - corner.astype(np.float32)) * np.float32(1 / (d + 1))
    by_rank = xp.take_along_axis(apart, xp.argsort(rank, axis=0), axis=0)
    weights[:, 0] = 1 + by_rank[d] - by_rank[0]
    for k in range(1, d + 1):
        weights[:, k] = by_rank[d - k] - by_rank[d - k + 1]
    for k in range(d + 1):
        keys[:, k] = (corner[:d] + xp.where(rank[:d] <= d - k, k, k - d - 1)).T


@part
def simplices_piece(number: int, worker: int, features: np.ndarray, keys: np.ndarray, weights: np.ndarray) -> None:
    count, d = features.shape
    scales = np.empty(d, np.float32)
    for i in range(d):
        scales[i] = np.sqrt(2 / 3) * (d + 1) / np.sqrt((i + 1.0) * (i + 2.0))
    elevated, corner, rank = np.empty(d + 1, np.float32), np.empty(d + 1, np.int32), np.empty(d + 1, np.int32)
    apart = np.empty(d + 1, np.float32)
    down = np.float32(1 / (d + 1))
    for p in range(number * POINTS, min((number + 1) * POINTS, count)):
        total = np.float32(0)
        for j in range(d, 0, -1):
            scaled = features[p, j - 1] * scales[j - 1]
            elevated[j] = total - np.float32(j) * scaled
            total += scaled
        elevated[0] = total
        beyond = np.int32(0)
        for i in range(d + 1):
            nearest = np.int32(np.rint(elevated[i] * down))
            beyond += nearest
            corner[i] = nearest * (d + 1)
            apart[i] = elevated[i] - np.float32(corner[i])
            rank[i] = 0
        for i in range(d + 1):
            for j in range(i + 1, d + 1):
                if apart[i] < apart[j]:
                    rank[i] += 1
                else:
                    rank[j] += 1
        for i in range(d + 1):
            rank[i] += beyond
            if rank[i] < 0:
                rank[i] += d + 1
                corner[i] += d + 1
            elif rank[i] > d:
                rank[i] -= d + 1
                corner[i] -= d + 1
        for i in range(d + 1):
            apart[rank[i]] = (elevated[i] - np.float32(corner[i])) * down
        weights[p, 0] = np.float32(1) + apart[d] - apart[0]
        for k in range(1, d + 1):
            weights[p, k] = apart[d - k] - apart[d - k + 1]
        for k in range(d + 1):
            for i in range(d):
                keys[p, k, i] = corner[i] + (k if rank[i] <= d - k else k - d - 1)


@operation(array=simplices_array)
def simplices(features: np.ndarray, keys: np.ndarray, weights: np.ndarray) -> None:
    """The simplex around each point.

    Args:
        features: float32, shape (P, d), in standard deviations of the blur.
        keys: its corners, int32, shape (P, d + 1, d).
        weights: how near the point is to each, from 0 to 1, of sum 1; float32, shape (P, d + 1).
    """
    count = len(features)
    spread(simplices_piece, -(-count // POINTS), num_workers(16 * count), (features, keys, weights))


@simplices.cuda
def simplices_cuda(kernels: Any, features: Any, keys: Any, weights: Any) -> None:
    kernels.simplices(len(features), features, keys, weights, features.shape[1])


def blur_reference(
    x: np.ndarray, corners: np.ndarray, weights: np.ndarray, beside: np.ndarray, backward: bool, y: np.ndarray
) -> None:
    points, size = beside.shape[1], corners.shape[1]
    values = np.zeros((points + 1, len(x)), x.dtype)
    for k in range(size):
        np.add.at(values, corners[:, k], weights[:, k, None] * x.T)
    for j in range(size - 1, -1, -1) if backward else range(size):
        values[:points] += (values[beside[j, :, 0]] + values[beside[j, :, 1]]) / 2
    y[...] = (weights[:, :, None] * values[corners]).sum(axis=1).T / (1 + 2.0 ** (1 - size))


@part
def blur_block(
    block: int, worker: int, x: np.ndarray, corners: np.ndarray, weights: np.ndarray, beside: np.ndarray,
    backward: bool, y: np.ndarray,
) -> None:  # fmt: skip
    first, count, size = block * BLOCK, corners.shape[0], corners.shape[1]
    planes = min(BLOCK, len(x) - first)
    points = beside.shape[1]
    values, blurred = np.zeros((points + 1, BLOCK), x.dtype), np.zeros((points + 1, BLOCK), x.dtype)
    for p in range(count):
        for k in range(size):
            target, weight = values[corners[p, k]], weights[p, k]
            for c in range(planes):
                target[c] += weight * x[first + c, p]
    half = x.dtype.type(0.5)
    for step in range(size):
        j = size - 1 - step if backward else step
        for m in range(points):
            own, left, right = values[m], values[beside[j, m, 0]], values[beside[j, m, 1]]
            target = blurred[m]
            for c in range(BLOCK):
                target[c] = own[c] + half * (left[c] + right[c])
        values, blurred = blurred, values
    scale = x.dtype.type(1 / (1 + 2.0 ** (1 - size)))
    for p in range(count):
        for c in range(planes):
            y[first + c, p] = 0
        for k in range(size):
            source, weight = values[corners[p, k]], weights[p, k] * scale
            for c in range(planes):
                y[first + c, p] += weight * source[c]


@operation(reference=blur_reference)
def blur(
    x: np.ndarray, corners: np.ndarray, weights: np.ndarray, beside: np.ndarray, backward: bool, y: np.ndarray
) -> None:
    """Blur the planes x, shape (K, P), into y: onto the corners, along each of the d + 1 axes, back to the points.

    Args:
        corners: which point of the lattice each corner is, int32, shape (P, d + 1).
        weights: shape (P, d + 1), in the planes' dtype.
        beside: the neighbours of each point along each axis, int32, shape (d + 1, M, 2); M for none.
        backward: whether the axes come in the reverse order, which makes it the transpose.
    """
    blocks = -(-len(x) // BLOCK)
    spread(blur_block, blocks, num_workers(8 * x.size), (x, corners, weights, beside, backward, y))


@blur.cuda
def blur_cuda(kernels: Any, x: Any, corners: Any, weights: Any, beside: Any, backward: bool, y: Any) -> None:
    planes, count = x.shape
    size, points = beside.shape[:2]
    values, blurred = (kernels.xp.zeros((planes, points + 1), x.dtype) for _ in range(2))
    kernels.splat(x.size, x, corners, weights, values, count, size, points)
    for j in reversed(range(size)) if backward else range(size):
        kernels.blur_axis(planes * points, values, beside[j], blurred, points)
        values, blurred = blurred, values
    kernels.slice_points(y.size, values, corners, weights, y, count, size, points, 1 / (1 + 2.0 ** (1 - size)))
