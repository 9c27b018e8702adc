"""Distances between all of one set of vectors and all of another, and their gradients.

They are summed up from differences, and not from products as |x|² - 2x·w + |w|², which loses small distances.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from bicerin.kernels import num_workers, operation, part, spread

#: Numbers that whole-array code holds at a time.
_AT_A_TIME = 1 << 22


def distances_array(xp: Any, x: Any, w: Any, first_power: bool, y: Any) -> None:
    step = max(1, _AT_A_TIME // max(1, w.size))
    for start in range(0, len(x), step):
        delta = x[start : start + step, None] - w
        y[start : start + step] = (xp.abs(delta) if first_power else delta * delta).sum(axis=2)


@part(fastmath=True)
def distances_of_item(n, worker, x, w, first_power, y):  # type: ignore[no-untyped-def]
    item = x[n]
    for k in range(w.shape[0]):
        center = w[k]
        total = x.dtype.type(0)
        if first_power:
            for d in range(item.size):
                total += abs(item[d] - center[d])
        else:
            for d in range(item.size):
                delta = item[d] - center[d]
                total += delta * delta
        y[n, k] = total


@operation(array=distances_array)
def distances(x, w, first_power, y):  # type: ignore[no-untyped-def]
    """Write the distance of each x `(N, D)` from each w `(K, D)` into y `(N, K)`: |x - w|², or Σ |x - w|."""
    spread(distances_of_item, len(x), num_workers(x.size * w.shape[0]), (x, w, first_power, y))


def pulls_array(xp: Any, x: Any, w: Any, y_diff: Any, first_power: bool, x_diff: Any) -> None:
    step = max(1, _AT_A_TIME // max(1, w.size))
    for start in range(0, len(x), step):
        delta = x[start : start + step, None] - w
        slope = xp.sign(delta) if first_power else 2 * delta
        x_diff[start : start + step] = xp.einsum("nk,nkd->nd", y_diff[start : start + step], slope)


@part
def pull_of_item(n, worker, x, w, y_diff, first_power, x_diff):  # type: ignore[no-untyped-def]
    item, pull = x[n], x_diff[n]
    for d in range(pull.size):
        pull[d] = 0
    for k in range(w.shape[0]):
        center, weight = w[k], y_diff[n, k]
        if first_power:
            for d in range(pull.size):
                pull[d] += weight * np.sign(item[d] - center[d])
        else:
            weight = weight + weight
            for d in range(pull.size):
                pull[d] += weight * (item[d] - center[d])


@operation(array=pulls_array)
def pulls(x, w, y_diff, first_power, x_diff):  # type: ignore[no-untyped-def]
    """Write the gradient by x of the distances, for theirs `(N, K)`; that by w is the same with x and w changed."""
    spread(pull_of_item, len(x), num_workers(x.size * w.shape[0]), (x, w, y_diff, first_power, x_diff))
