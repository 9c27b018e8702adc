"""The sum of the gradients of a Split's tops, in as few passes over memory as there can be."""

from __future__ import annotations

from typing import Any

import numpy as np

from bicerin.kernels.compiled import kernel, num_workers, part, piece, pieces, spread


def add_two_reference(total: Any, first: Any, second: Any) -> None:
    np.add(first, second, out=total)


@part
def add_two_pieces(unit: int, worker: int, total: Any, first: Any, second: Any) -> None:
    total, first, second = piece(total, unit), piece(first, unit), piece(second, unit)
    for i in range(total.size):
        total[i] = first[i] + second[i]


@kernel(reference=add_two_reference)
def add_two(total: Any, first: Any, second: Any) -> None:
    spread(add_two_pieces, pieces(total), num_workers(total.size), (total, first, second))


def add_four_reference(total: Any, first: Any, second: Any, third: Any, fourth: Any) -> None:
    np.add(first, second, out=total)
    np.add(total, third, out=total)
    np.add(total, fourth, out=total)


@part
def add_four_pieces(unit: int, worker: int, total: Any, first: Any, second: Any, third: Any, fourth: Any) -> None:
    total, first, second = piece(total, unit), piece(first, unit), piece(second, unit)
    third, fourth = piece(third, unit), piece(fourth, unit)
    for i in range(total.size):
        total[i] = ((first[i] + second[i]) + third[i]) + fourth[i]


@kernel(reference=add_four_reference)
def add_four(total: Any, first: Any, second: Any, third: Any, fourth: Any) -> None:
    """Added in the tops' order, as Caffe does."""
    spread(add_four_pieces, pieces(total), num_workers(total.size), (total, first, second, third, fourth))


def add_all(total: np.ndarray, given: list[np.ndarray]) -> None:
    """total = the sum of two or more flat arrays."""
    if len(given) >= 4:
        add_four(total, *given[:4])
        rest = given[4:]
    else:
        add_two(total, *given[:2])
        rest = given[2:]
    for array in rest:
        add_two(total, total, array)
