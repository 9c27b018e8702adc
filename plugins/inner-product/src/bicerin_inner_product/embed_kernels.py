"""Rows of a table by their index, and their gradient: rows added where an index says.

`table` is `(K, N)`; `index`, of any shape with M elements, holds whole numbers of the table's dtype; `rows` are
`(M, N)`. On the host another index is an error; a device, which cannot raise one, gives NaN, and no gradient.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from bicerin.errors import ShapeError
from bicerin.kernels import host_operation, kernel, num_workers, part, spread


@host_operation
def look_up(index: np.ndarray, table: np.ndarray, rows: np.ndarray) -> None:
    """rows[i] = table[index[i]] for every i."""
    rows[...] = table[whole_numbers(index, len(table))]


@look_up.cuda
def look_up_cuda(kernels: Any, index: Any, table: Any, rows: Any) -> None:
    kernels.look_up(rows.size, index, table, rows, *table.shape)


@host_operation(compiled=True)
def add_rows(index: np.ndarray, rows: np.ndarray, table: np.ndarray) -> None:
    """table[index[i]] += rows[i] for every i, repeated indices too."""
    add_rows_at(whole_numbers(index, len(table)), rows, table)


@add_rows.cuda
def add_rows_cuda(kernels: Any, index: Any, rows: Any, table: Any) -> None:
    kernels.add_rows(rows.size, index, rows, table, *table.shape)


def whole_numbers(index: np.ndarray, number: int) -> np.ndarray:
    """The indices as integers, shape `(M,)`.

    Raises:
        ShapeError: one is not a whole number from 0 to `number` - 1.
    """
    values = index.reshape(-1)
    wrong = ~((values >= 0) & (values < number) & (values == np.floor(values)))
    if wrong.any():
        position = int(wrong.argmax())
        place = tuple(map(int, np.unravel_index(position, index.shape)))
        raise ShapeError(
            f"index {float(values[position]):g} at {place} is not a row of the table.",
            f"Indices are whole numbers from 0 to input_dim - 1 = {number - 1}.",
        )
    return values.astype(np.int64)


def add_rows_reference(index: np.ndarray, rows: np.ndarray, table: np.ndarray) -> None:
    np.add.at(table, index, rows)


@part
def add_stripe(stripe, worker, stripes, index, rows, table):  # type: ignore[no-untyped-def]
    """Some of the columns."""
    columns = table.shape[1]
    start, stop = stripe * columns // stripes, (stripe + 1) * columns // stripes
    for i in range(index.size):
        total, row = table[index[i], start:stop], rows[i, start:stop]
        for j in range(row.size):
            total[j] += row[j]


@kernel(reference=add_rows_reference)
def add_rows_at(index, rows, table):  # type: ignore[no-untyped-def]
    """`add_rows` for integers. A thread owns some columns, so none waits for another and sums keep their order."""
    workers = num_workers(rows.size)
    spread(add_stripe, workers, workers, (workers, index, rows, table))
