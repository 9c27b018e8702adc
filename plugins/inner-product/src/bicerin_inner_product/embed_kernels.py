"""The gradient of an embedding's weights: rows added where an index says."""

from __future__ import annotations

import numpy as np

from bicerin.kernels import kernel, num_threads, prange

_STRIPES = num_threads()


def add_rows_reference(target: np.ndarray, index: np.ndarray, rows: np.ndarray) -> None:
    """`target[index[i]] += rows[i]` for every i, repeated indices too. Shapes `(K, N)`, `(M,)`, `(M, N)`."""
    np.add.at(target, index, rows)


@kernel(reference=add_rows_reference, parallel=True)
def add_rows(target, index, rows):  # type: ignore[no-untyped-def]
    """As `add_rows_reference`. A thread owns some columns, so none waits for another and sums keep their order."""
    columns = target.shape[1]
    for stripe in prange(_STRIPES):
        for i in range(index.size):
            for j in range(stripe * columns // _STRIPES, (stripe + 1) * columns // _STRIPES):
                target[index[i], j] += rows[i, j]
