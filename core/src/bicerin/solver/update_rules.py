"""The update rules: each as a formula, and as array arithmetic, its reference.

Every rule first completes the gradient, g = scale * diff + l2 * data + l1 * sign(data), then writes its history, the
update into `diff`, and subtracts it from `data`. All arrays of a call have shape `(count,)` and one dtype.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from bicerin.kernels import elementwise, formula


@formula
def gradient(data: Any, diff: Any, scale: Any, l2: Any, l1: Any) -> Any:
    # A decay of 0 leaves the data out, infinities and NaN included.
    return (
        scale * diff + (l2 * data if l2 != 0 else 0) + ((l1 if data > 0 else -l1 if data < 0 else 0) if l1 != 0 else 0)
    )


def _gradient(data: Any, diff: Any, scale: float, l2: float, l1: float) -> Any:
    if scale != 1:
        diff *= scale
    # A decay of 0 leaves the data out, infinities and NaN included.
    if l2 != 0:
        diff += l2 * data
    if l1 != 0:
        diff += l1 * ((data > 0).astype(data.dtype) - (data < 0).astype(data.dtype))
    return diff


def sgd_array(
    xp: Any, data: Any, diff: Any, history: Any, scale: float, l2: float, l1: float, rate: float, momentum: float
) -> None:
    """h = momentum * h + rate * g; the update is h."""
    gradient = _gradient(data, diff, scale, l2, l1)
    history *= momentum
    history += rate * gradient
    diff[...] = history
    data -= diff


@elementwise("data, diff, history -> data, diff, history", array=sgd_array)
def sgd(data: Any, diff: Any, history: Any, scale: Any, l2: Any, l1: Any, rate: Any, momentum: Any) -> Any:
    update = momentum * history + rate * gradient(data, diff, scale, l2, l1)
    return data - update, update, update


def nesterov_array(
    xp: Any, data: Any, diff: Any, history: Any, scale: float, l2: float, l1: float, rate: float, momentum: float
) -> None:
    """h' = momentum * h + rate * g; the update is (1 + momentum) * h' - momentum * h."""
    gradient = _gradient(data, diff, scale, l2, l1)
    before = history.copy()
    history *= momentum
    history += rate * gradient
    diff[...] = history + momentum * (history - before)
    data -= diff


@elementwise("data, diff, history -> data, diff, history", array=nesterov_array)
def nesterov(data: Any, diff: Any, history: Any, scale: Any, l2: Any, l1: Any, rate: Any, momentum: Any) -> Any:
    now = momentum * history + rate * gradient(data, diff, scale, l2, l1)
    update = now + momentum * (now - history)
    return data - update, update, now


def adagrad_array(
    xp: Any, data: Any, diff: Any, history: Any, scale: float, l2: float, l1: float, rate: float, delta: float
) -> None:
    """h = h + g²; the update is rate * g / (√h + delta)."""
    gradient = _gradient(data, diff, scale, l2, l1)
    history += gradient * gradient
    diff[...] = rate * (gradient / (history**0.5 + delta))
    data -= diff


@elementwise("data, diff, history -> data, diff, history", array=adagrad_array)
def adagrad(data: Any, diff: Any, history: Any, scale: Any, l2: Any, l1: Any, rate: Any, delta: Any) -> Any:
    g = gradient(data, diff, scale, l2, l1)
    squares = history + g * g
    update = rate * (g / (np.sqrt(squares) + delta))
    return data - update, update, squares


def rmsprop_array(
    xp: Any,
    data: Any,
    diff: Any,
    history: Any,
    scale: float,
    l2: float,
    l1: float,
    rate: float,
    delta: float,
    decay: float,
    new: float,
) -> None:
    """h = decay * h + new * g², new = 1 - decay; the update is rate * g / (√h + delta)."""
    gradient = _gradient(data, diff, scale, l2, l1)
    history *= decay
    history += new * (gradient * gradient)
    diff[...] = rate * (gradient / (history**0.5 + delta))
    data -= diff


@elementwise("data, diff, history -> data, diff, history", array=rmsprop_array)
def rmsprop(
    data: Any,
    diff: Any,
    history: Any,
    scale: Any,
    l2: Any,
    l1: Any,
    rate: Any,
    delta: Any,
    decay: Any,
    new: Any,
) -> Any:
    g = gradient(data, diff, scale, l2, l1)
    squares = decay * history + new * (g * g)
    update = rate * (g / (np.sqrt(squares) + delta))
    return data - update, update, squares


def adadelta_array(
    xp: Any,
    data: Any,
    diff: Any,
    gradients: Any,
    updates: Any,
    scale: float,
    l2: float,
    l1: float,
    rate: float,
    delta: float,
    momentum: float,
    new: float,
) -> None:
    """G = momentum * G + new * g²; u = g * √((U + delta) / (G + delta)); U = momentum * U + new * u²; the update is
    rate * u. new = 1 - momentum.
    """
    gradient = _gradient(data, diff, scale, l2, l1)
    gradients *= momentum
    gradients += new * (gradient * gradient)
    update = gradient * ((updates + delta) / (gradients + delta)) ** 0.5
    updates *= momentum
    updates += new * (update * update)
    diff[...] = rate * update
    data -= diff


@elementwise("data, diff, gradients, updates -> data, diff, gradients, updates", array=adadelta_array)
def adadelta(
    data: Any,
    diff: Any,
    gradients: Any,
    updates: Any,
    scale: Any,
    l2: Any,
    l1: Any,
    rate: Any,
    delta: Any,
    momentum: Any,
    new: Any,
) -> Any:
    g = gradient(data, diff, scale, l2, l1)
    squares = momentum * gradients + new * (g * g)
    u = g * np.sqrt((updates + delta) / (squares + delta))
    return data - rate * u, rate * u, squares, momentum * updates + new * (u * u)


def adam_array(
    xp: Any,
    data: Any,
    diff: Any,
    first: Any,
    second: Any,
    scale: float,
    l2: float,
    l1: float,
    rate: float,
    delta: float,
    beta1: float,
    new1: float,
    beta2: float,
    new2: float,
) -> None:
    """m = beta1 * m + new1 * g; v = beta2 * v + new2 * g², new = 1 - beta; the update is rate * m / (√v + delta).

    `rate` includes the correction for the moments' start at zero.
    """
    gradient = _gradient(data, diff, scale, l2, l1)
    first *= beta1
    first += new1 * gradient
    second *= beta2
    second += new2 * (gradient * gradient)
    diff[...] = rate * (first / (second**0.5 + delta))
    data -= diff


@elementwise("data, diff, first, second -> data, diff, first, second", array=adam_array)
def adam(
    data: Any,
    diff: Any,
    first: Any,
    second: Any,
    scale: Any,
    l2: Any,
    l1: Any,
    rate: Any,
    delta: Any,
    beta1: Any,
    new1: Any,
    beta2: Any,
    new2: Any,
) -> Any:
    g = gradient(data, diff, scale, l2, l1)
    mean = beta1 * first + new1 * g
    square = beta2 * second + new2 * (g * g)
    update = rate * (mean / (np.sqrt(square) + delta))
    return data - update, update, mean, square
