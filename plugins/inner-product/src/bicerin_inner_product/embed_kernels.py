"""The gradient of an embedding's weights: rows added where an index says."""

from __future__ import annotations

import numpy as np

from bicerin.kernels import kernel, num_workers, part, spread


def add_rows_reference(target: np.ndarray, index: np.ndarray, rows: np.ndarray) -> None:
    """`target[index[i]] += rows[i]` for every i, repeated indices too. Shapes `(K, N)`, `(M,)`, `(M, N)`."""
    np.add.at(target, index, rows)


@part
def add_stripe(stripe, worker, stripes, target, index, rows):  # type: ignore[no-untyped-def]
    """Some of the columns."""
    columns = target.shape[1]
    start, stop = stripe * columns // stripes, (stripe + 1) * columns // stripes
    for i in range(index.size):
        total, row = target[index[i], start:stop], rows[i, start:stop]
        for j in range(row.size):
            total[j] += row[j]


@kernel(reference=add_rows_reference)
def add_rows(target, index, rows):  # type: ignore[no-untyped-def]
    """As `add_rows_reference`. A thread owns some columns, so none waits for another and sums keep their order."""
    workers = num_workers(rows.size)
    spread(add_stripe, workers, workers, (workers, target, index, rows))
