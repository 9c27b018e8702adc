"""Sigmoid and Swish over flat arrays: kernels, each beside its formula."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from bicerin.exponential import exponential
from bicerin.kernels import SMALL, kernel, prange


def sigmoid_array(xp: Any, x: Any, y: Any) -> None:
    xp.multiply(x, 0.5, out=y)
    xp.tanh(y, out=y)
    y *= 0.5
    y += 0.5


@kernel(reference=partial(sigmoid_array, np), parallel=True, serial_below=SMALL, fastmath={"contract"})
def sigmoid(x, y):  # type: ignore[no-untyped-def]
    one = x.dtype.type(1)
    for i in prange(x.size):
        y[i] = one / (one + exponential(-x[i]))


def sigmoid_backward_array(xp: Any, y: Any, y_diff: Any, x_diff: Any) -> None:
    xp.multiply(y_diff, y * (1 - y), out=x_diff)


@kernel(reference=partial(sigmoid_backward_array, np), parallel=True, serial_below=SMALL)
def sigmoid_backward(y, y_diff, x_diff):  # type: ignore[no-untyped-def]
    one = y.dtype.type(1)
    for i in prange(y.size):
        x_diff[i] = y_diff[i] * (y[i] * (one - y[i]))


def swish_array(xp: Any, x: Any, beta: float, s: Any, y: Any) -> None:
    sigmoid_array(xp, beta * x, s)
    xp.multiply(x, s, out=y)


@kernel(reference=partial(swish_array, np), parallel=True, serial_below=SMALL, fastmath={"contract"})
def swish(x, beta, s, y):  # type: ignore[no-untyped-def]
    """Write sigmoid(beta · x) into `s` and x · s into `y`."""
    one, beta = x.dtype.type(1), x.dtype.type(beta)
    for i in prange(x.size):
        value = x[i]
        gate = one / (one + exponential(-beta * value))
        s[i] = gate
        y[i] = value * gate


def swish_backward_array(xp: Any, y: Any, beta: float, s: Any, y_diff: Any, x_diff: Any) -> None:
    xp.multiply(y_diff, beta * y + s * (1 - beta * y), out=x_diff)


@kernel(reference=partial(swish_backward_array, np), parallel=True, serial_below=SMALL)
def swish_backward(y, beta, s, y_diff, x_diff):  # type: ignore[no-untyped-def]
    one, beta = y.dtype.type(1), y.dtype.type(beta)
    for i in prange(y.size):
        scaled = beta * y[i]
        x_diff[i] = y_diff[i] * (scaled + s[i] * (one - scaled))
