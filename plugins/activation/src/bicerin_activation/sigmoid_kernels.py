"""Sigmoid and Swish over flat arrays."""

from __future__ import annotations

from typing import Any

import numpy as np

from bicerin.kernels import elementwise, formula


@formula
def logistic(x: Any) -> Any:
    return 1 / (1 + np.exp(-x))


def sigmoid_array(xp: Any, x: Any, y: Any) -> None:
    xp.multiply(x, 0.5, out=y)
    xp.tanh(y, out=y)
    y *= 0.5
    y += 0.5


@elementwise("x -> y", array=sigmoid_array, fastmath={"contract"})
def sigmoid(x: Any) -> Any:
    return logistic(x)


def sigmoid_backward_array(xp: Any, y: Any, y_diff: Any, x_diff: Any) -> None:
    xp.multiply(y_diff, y * (1 - y), out=x_diff)


@elementwise("y, y_diff -> x_diff", array=sigmoid_backward_array)
def sigmoid_backward(y: Any, y_diff: Any) -> Any:
    return y_diff * (y * (1 - y))


def swish_array(xp: Any, x: Any, beta: float, s: Any, y: Any) -> None:
    sigmoid_array(xp, beta * x, s)
    xp.multiply(x, s, out=y)


@elementwise("x -> s, y", array=swish_array, fastmath={"contract"})
def swish(x: Any, beta: Any) -> Any:
    """s = sigmoid(beta · x), y = x · s."""
    gate = logistic(beta * x)
    return gate, x * gate


def swish_backward_array(xp: Any, y: Any, beta: float, s: Any, y_diff: Any, x_diff: Any) -> None:
    xp.multiply(y_diff, beta * y + s * (1 - beta * y), out=x_diff)


@elementwise("y, s, y_diff -> x_diff", array=swish_backward_array)
def swish_backward(y: Any, beta: Any, s: Any, y_diff: Any) -> Any:
    scaled = beta * y
    return y_diff * (scaled + s * (1 - scaled))
