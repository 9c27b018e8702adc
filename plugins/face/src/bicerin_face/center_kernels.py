"""The gradient of class centers: a sum over the items of each class."""

from __future__ import annotations

from typing import Any

import numpy as np

from bicerin.kernels import num_workers, operation, part, spread


def move_centers_array(xp: Any, delta: Any, labels: Any, once_an_item: bool, gradient: Any) -> None:
    own = (labels[:, None] == xp.arange(len(gradient), dtype=np.int32)).astype(delta.dtype)
    number = own.sum(axis=0)
    factor = (number if once_an_item else 1) / (number + 1)
    gradient -= factor.astype(delta.dtype)[:, None] * (own.T @ delta)


@part
def move_columns(unit, worker, delta, labels, factors, gradient, columns):  # type: ignore[no-untyped-def]
    """Some columns of all centers, so that no two units write to one number."""
    first = unit * columns
    last = min(first + columns, delta.shape[1])
    for n in range(delta.shape[0]):
        center = labels[n]
        factor = factors[center]
        for d in range(first, last):
            gradient[center, d] -= factor * delta[n, d]


@operation(array=move_centers_array)
def move_centers(delta, labels, once_an_item, gradient):  # type: ignore[no-untyped-def]
    """Add to the gradient of each center: the sum of -delta over its items, by their number and one.

    Args:
        delta: (N, D), item less center.
        labels: int32 (N,).
        once_an_item: whether that is times the number.
        gradient: (K, D).
    """
    factors = np.zeros(gradient.shape[0], delta.dtype)
    for n in range(labels.size):
        factors[labels[n]] += 1
    for k in range(factors.size):
        number = factors[k]
        factors[k] = (number if once_an_item else 1) / (number + 1)
    columns = 64
    units = (delta.shape[1] + columns - 1) // columns
    spread(move_columns, units, num_workers(delta.size), (delta, labels, factors, gradient, columns))
