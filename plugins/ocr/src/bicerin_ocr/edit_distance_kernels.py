"""How many insertions, deletions and changes make one sequence of another. Levenshtein, 1966."""

from __future__ import annotations

from typing import Any

import numpy as np

from bicerin.kernels import host_operation, kernel, num_workers, part, spread


@part
def distance_of_row(n, worker, found, wanted, rows, shares):  # type: ignore[no-untyped-def]
    first, second = 0, 0
    while first < found.shape[1] and found[n, first] >= 0:
        first += 1
    while second < wanted.shape[1] and wanted[n, second] >= 0:
        second += 1
    row = rows[n]
    for j in range(second + 1):
        row[j] = j
    for i in range(first):
        corner = row[0]
        row[0] = i + 1
        for j in range(second):
            changed = corner + (0 if found[n, i] == wanted[n, j] else 1)
            corner = row[j + 1]
            row[j + 1] = min(changed, corner + 1, row[j] + 1)
    shares[n] = row[second] / max(first, second, 1)


def all_distances_reference(found: np.ndarray, wanted: np.ndarray, rows: np.ndarray, shares: np.ndarray) -> None:
    for n in range(len(found)):
        distance_of_row(n, 0, found, wanted, rows, shares)


@kernel(reference=all_distances_reference)
def all_distances(found, wanted, rows, shares):  # type: ignore[no-untyped-def]
    workers = num_workers(found.shape[0] * found.shape[1] * wanted.shape[1])
    spread(distance_of_row, len(found), workers, (found, wanted, rows, shares))


@host_operation(compiled=True)
def edit_distances(found: np.ndarray, wanted: np.ndarray, shares: np.ndarray) -> None:
    """Write the distances, by the length of the longer sequence, into `shares`, `(N,)`; 0 of two empty ones.

    Args:
        found, wanted: int64, `(N, any)`, followed by -1.
    """
    rows = np.empty((len(found), wanted.shape[1] + 1), np.int64)
    all_distances(found, wanted, rows, shares)


@edit_distances.cuda
def edit_distances_cuda(kernels: Any, found: Any, wanted: Any, shares: Any) -> None:
    xp = kernels.xp
    rows = xp.empty((len(found), wanted.shape[1] + 1), np.int32)
    found, wanted = (xp.ascontiguousarray(one, np.int32) for one in (found, wanted))
    kernels.edit_distances(len(found), found, wanted, rows, shares, found.shape[1], wanted.shape[1])
