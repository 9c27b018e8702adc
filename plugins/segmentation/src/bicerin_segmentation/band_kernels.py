"""Planes between two matrices with bands, y = D x A^T: all that separable windows do to images.

x has the shape `(P, H, W)`, y `(P, H', W')`, D `(H', H)` and A `(W', W)`, float32 or float64; the bounds of their rows,
`(H', 2)` and `(W', 2)`, int32, say between which columns they are other than 0. Units of work are planes.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from bicerin.kernels import num_workers, operation, part, spread


def banded_array(xp: Any, x: Any, down: Any, rows: Any, across: Any, columns: Any, y: Any) -> None:
    y[...] = xp.matmul(xp.matmul(down, x), across.T)


@part
def banded_plane(
    plane: int, worker: int, x: np.ndarray, down: np.ndarray, rows: np.ndarray, across: np.ndarray,
    columns: np.ndarray, y: np.ndarray,
) -> None:  # fmt: skip
    _, height, width = y.shape
    line = np.empty(x.shape[2], x.dtype)
    for u in range(height):
        line[:] = 0
        for h in range(rows[u, 0], rows[u, 1]):
            factor, row = down[u, h], x[plane, h]
            for w in range(line.size):
                line[w] += factor * row[w]
        for v in range(width):
            total = line.dtype.type(0)
            for w in range(columns[v, 0], columns[v, 1]):
                total += across[v, w] * line[w]
            y[plane, u, v] = total


@operation(array=banded_array)
def banded(
    x: np.ndarray, down: np.ndarray, rows: np.ndarray, across: np.ndarray, columns: np.ndarray, y: np.ndarray
) -> None:
    """y = D x A^T of each plane."""
    spread(banded_plane, len(x), num_workers(max(x.size, y.size)), (x, down, rows, across, columns, y))


@banded.cuda
def banded_cuda(kernels: Any, x: Any, down: Any, rows: Any, across: Any, columns: Any, y: Any) -> None:
    kernels.banded(y.size, x, down, rows, across, columns, y, *x.shape[1:], *y.shape[1:])
