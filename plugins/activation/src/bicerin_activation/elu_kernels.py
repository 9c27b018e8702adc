"""ELU over flat arrays: kernels, each beside its formula."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from bicerin.kernels import kernel, num_workers, part, piece, pieces, spread
from bicerin.kernels.exp import exponential


def forward_array(xp: Any, x: Any, alpha: float, y: Any) -> None:
    y[...] = xp.where(x > 0, x, alpha * (xp.exp(xp.minimum(x, 0)) - 1))


@part(fastmath={"contract"})
def forward_piece(unit, worker, x, alpha, y):  # type: ignore[no-untyped-def]
    x, y, zero, one = piece(x, unit), piece(y, unit), x.dtype.type(0), x.dtype.type(1)
    for i in range(x.size):
        value = x[i]
        negative = alpha * (exponential(value) - one)
        y[i] = value if value > zero else negative


@kernel(reference=partial(forward_array, np))
def forward(x, alpha, y):  # type: ignore[no-untyped-def]
    spread(forward_piece, pieces(x), num_workers(x.size), (x, x.dtype.type(alpha), y))


def backward_array(xp: Any, x: Any, y: Any, alpha: float, y_diff: Any, x_diff: Any) -> None:
    xp.multiply(y_diff, xp.where(x > 0, 1, y + alpha), out=x_diff)


@part
def backward_piece(unit, worker, x, y, alpha, y_diff, x_diff):  # type: ignore[no-untyped-def]
    zero, one = x.dtype.type(0), x.dtype.type(1)
    x, y, y_diff, x_diff = piece(x, unit), piece(y, unit), piece(y_diff, unit), piece(x_diff, unit)
    for i in range(x.size):
        x_diff[i] = y_diff[i] * (one if x[i] > zero else y[i] + alpha)


@kernel(reference=partial(backward_array, np))
def backward(x, y, alpha, y_diff, x_diff):  # type: ignore[no-untyped-def]
    spread(backward_piece, pieces(x), num_workers(x.size), (x, y, x.dtype.type(alpha), y_diff, x_diff))
