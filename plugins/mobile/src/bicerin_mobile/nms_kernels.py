"""Peaks of maps (N, C, H, W) as rows (N, P, 1 + limit, 3) of x, y and value; see nms.py."""

from __future__ import annotations

from typing import Any

import numpy as np

from bicerin.kernels import num_workers, operation, part, spread

REACH = 3


def find_peaks_array(xp: Any, x: Any, threshold: float, y: Any) -> None:
    y.fill(0)
    number, parts, rows, _ = y.shape
    height, width = x.shape[2:]
    if height < 3 or width < 3 or not number:
        return
    maps = x[:, :parts]
    is_peak = maps[..., 1:-1, 1:-1] > threshold
    for down in range(3):
        for right in range(3):
            if (down, right) != (1, 1):
                around = maps[..., down : height - 2 + down, right : width - 2 + right]
                is_peak = is_peak & (maps[..., 1:-1, 1:-1] > around)
    flat = is_peak.reshape(number, parts, (height - 2) * (width - 2))
    counts = flat.sum(axis=2)
    limit = min(rows - 1, flat.shape[2])
    places = xp.argsort(~flat, axis=2, kind="stable")[..., :limit]
    i, j = places // (width - 2) + 1, places % (width - 2) + 1
    there = xp.arange(limit) < counts[..., None]
    own = xp.arange(number)[:, None, None], xp.arange(parts)[None, :, None]
    total, across, along = (xp.zeros(places.shape, x.dtype) for _ in range(3))
    for down in range(-REACH, REACH + 1):
        for right in range(-REACH, REACH + 1):
            row, column = i + down, j + right
            inside = (row > 0) & (row < height) & (column > 0) & (column < width)
            score = maps[(*own, xp.clip(row, 0, height - 1), xp.clip(column, 0, width - 1))]
            score = xp.where(inside & (score > 0), score, 0)
            total += score
            across += score * column.astype(x.dtype)
            along += score * row.astype(x.dtype)
    divisor = xp.where(there & (total > 0), total, 1)
    y[:, :, 0, 0] = counts
    for k, value in enumerate((across / divisor, along / divisor, maps[(*own, i, j)])):
        y[:, :, 1 : limit + 1, k] = xp.where(there, value, 0)


@part
def tops_its_neighbours(plane: Any, i: Any, j: Any) -> Any:
    for down in range(-1, 2):
        for right in range(-1, 2):
            if (down != 0 or right != 0) and not plane[i, j] > plane[i + down, j + right]:
                return False
    return True


@part
def peaks_of_map(unit: Any, worker: Any, x: Any, threshold: Any, y: Any) -> None:
    parts, rows = y.shape[1], y.shape[2]
    plane, target = x[unit // parts, unit % parts], y[unit // parts, unit % parts]
    height, width = plane.shape
    zero = x.dtype.type(0)
    target[:, :] = 0
    count = 0
    for i in range(1, height - 1):
        for j in range(1, width - 1):
            if not (plane[i, j] > threshold and tops_its_neighbours(plane, i, j)):
                continue
            count += 1
            if count >= rows:
                continue
            total, across, along = zero, zero, zero
            for row in range(max(i - 3, 1), min(i + 4, height)):
                for column in range(max(j - 3, 1), min(j + 4, width)):
                    score = max(plane[row, column], zero)
                    total += score
                    across += score * column
                    along += score * row
            if not total > zero:
                total = x.dtype.type(1)
            target[count, 0], target[count, 1], target[count, 2] = across / total, along / total, plane[i, j]
    target[0, 0] = count


@operation(array=find_peaks_array)
def find_peaks(x: np.ndarray, threshold: float, y: np.ndarray) -> None:
    """Write the peaks of the first maps of each item of `x` into `y`."""
    spread(peaks_of_map, y.shape[0] * y.shape[1], num_workers(x.size), (x, x.dtype.type(threshold), y))
