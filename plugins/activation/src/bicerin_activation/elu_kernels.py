"""ELU over flat arrays: kernels, each beside its formula."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from bicerin.exponential import exponential
from bicerin.kernels import SMALL, kernel, prange


def forward_array(xp: Any, x: Any, alpha: float, y: Any) -> None:
    y[...] = xp.where(x > 0, x, alpha * (xp.exp(xp.minimum(x, 0)) - 1))


@kernel(reference=partial(forward_array, np), parallel=True, serial_below=SMALL, fastmath={"contract"})
def forward(x, alpha, y):  # type: ignore[no-untyped-def]
    zero, one, alpha = x.dtype.type(0), x.dtype.type(1), x.dtype.type(alpha)
    for i in prange(x.size):
        value = x[i]
        negative = alpha * (exponential(value) - one)
        y[i] = value if value > zero else negative


def backward_array(xp: Any, x: Any, y: Any, alpha: float, y_diff: Any, x_diff: Any) -> None:
    xp.multiply(y_diff, xp.where(x > 0, 1, y + alpha), out=x_diff)


@kernel(reference=partial(backward_array, np), parallel=True, serial_below=SMALL)
def backward(x, y, alpha, y_diff, x_diff):  # type: ignore[no-untyped-def]
    zero, one, alpha = x.dtype.type(0), x.dtype.type(1), x.dtype.type(alpha)
    for i in prange(x.size):
        x_diff[i] = y_diff[i] * (one if x[i] > zero else y[i] + alpha)
