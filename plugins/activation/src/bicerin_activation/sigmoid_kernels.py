"""Sigmoid and Swish over flat arrays: kernels, each beside its formula."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from bicerin.kernels import kernel, num_workers, part, piece, pieces, spread
from bicerin.kernels.exp import exponential


def sigmoid_array(xp: Any, x: Any, y: Any) -> None:
    xp.multiply(x, 0.5, out=y)
    xp.tanh(y, out=y)
    y *= 0.5
    y += 0.5


@part(fastmath={"contract"})
def sigmoid_piece(unit, worker, x, y):  # type: ignore[no-untyped-def]
    x, y, one = piece(x, unit), piece(y, unit), x.dtype.type(1)
    for i in range(x.size):
        y[i] = one / (one + exponential(-x[i]))


@kernel(reference=partial(sigmoid_array, np))
def sigmoid(x, y):  # type: ignore[no-untyped-def]
    spread(sigmoid_piece, pieces(x), num_workers(x.size), (x, y))


def sigmoid_backward_array(xp: Any, y: Any, y_diff: Any, x_diff: Any) -> None:
    xp.multiply(y_diff, y * (1 - y), out=x_diff)


@part
def sigmoid_piece_backward(unit, worker, y, y_diff, x_diff):  # type: ignore[no-untyped-def]
    y, y_diff, x_diff, one = piece(y, unit), piece(y_diff, unit), piece(x_diff, unit), y.dtype.type(1)
    for i in range(y.size):
        x_diff[i] = y_diff[i] * (y[i] * (one - y[i]))


@kernel(reference=partial(sigmoid_backward_array, np))
def sigmoid_backward(y, y_diff, x_diff):  # type: ignore[no-untyped-def]
    spread(sigmoid_piece_backward, pieces(y), num_workers(y.size), (y, y_diff, x_diff))


def swish_array(xp: Any, x: Any, beta: float, s: Any, y: Any) -> None:
    sigmoid_array(xp, beta * x, s)
    xp.multiply(x, s, out=y)


@part(fastmath={"contract"})
def swish_piece(unit, worker, x, beta, s, y):  # type: ignore[no-untyped-def]
    x, s, y, one = piece(x, unit), piece(s, unit), piece(y, unit), x.dtype.type(1)
    for i in range(x.size):
        value = x[i]
        gate = one / (one + exponential(-beta * value))
        s[i] = gate
        y[i] = value * gate


@kernel(reference=partial(swish_array, np))
def swish(x, beta, s, y):  # type: ignore[no-untyped-def]
    """Write sigmoid(beta · x) into `s` and x · s into `y`."""
    spread(swish_piece, pieces(x), num_workers(x.size), (x, x.dtype.type(beta), s, y))


def swish_backward_array(xp: Any, y: Any, beta: float, s: Any, y_diff: Any, x_diff: Any) -> None:
    xp.multiply(y_diff, beta * y + s * (1 - beta * y), out=x_diff)


@part
def swish_piece_backward(unit, worker, y, beta, s, y_diff, x_diff):  # type: ignore[no-untyped-def]
    one = y.dtype.type(1)
    y, s, y_diff, x_diff = piece(y, unit), piece(s, unit), piece(y_diff, unit), piece(x_diff, unit)
    for i in range(y.size):
        scaled = beta * y[i]
        x_diff[i] = y_diff[i] * (scaled + s[i] * (one - scaled))


@kernel(reference=partial(swish_backward_array, np))
def swish_backward(y, beta, s, y_diff, x_diff):  # type: ignore[no-untyped-def]
    spread(swish_piece_backward, pieces(y), num_workers(y.size), (y, y.dtype.type(beta), s, y_diff, x_diff))
