"""The update rules of `update_rules`, each as one pass over memory without temporaries.

The scalars are of the arrays' dtype: a Python number would make Numba compute in float64.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from bicerin.kernels.compiled import kernel, num_workers, part, piece, pieces, spread
from bicerin.solver import update_rules


@part
def _gradient(data: Any, diff: Any, scale: Any, l2: Any, l1: Any) -> Any:
    gradient = scale * diff
    if l2 != 0:
        gradient += l2 * data
    if l1 != 0:
        if data > 0:
            gradient += l1
        elif data < 0:
            gradient -= l1
    return gradient


@part
def sgd_piece(unit: int, worker: int, data: Any, diff: Any, history: Any, numbers: Any) -> None:
    scale, l2, l1, rate, momentum = numbers
    data, diff, history = piece(data, unit), piece(diff, unit), piece(history, unit)
    for i in range(data.size):
        update = momentum * history[i] + rate * _gradient(data[i], diff[i], scale, l2, l1)
        history[i] = update
        diff[i] = update
        data[i] -= update


@kernel(update_rules.sgd)
def sgd(data: Any, diff: Any, history: Any, *numbers: Any) -> None:
    spread(sgd_piece, pieces(data), num_workers(data.size), (data, diff, history, numbers))


@part
def nesterov_piece(unit: int, worker: int, data: Any, diff: Any, history: Any, numbers: Any) -> None:
    scale, l2, l1, rate, momentum = numbers
    data, diff, history = piece(data, unit), piece(diff, unit), piece(history, unit)
    for i in range(data.size):
        before = history[i]
        now = momentum * before + rate * _gradient(data[i], diff[i], scale, l2, l1)
        update = now + momentum * (now - before)
        history[i] = now
        diff[i] = update
        data[i] -= update


@kernel(update_rules.nesterov)
def nesterov(data: Any, diff: Any, history: Any, *numbers: Any) -> None:
    spread(nesterov_piece, pieces(data), num_workers(data.size), (data, diff, history, numbers))


@part
def adagrad_piece(unit: int, worker: int, data: Any, diff: Any, history: Any, numbers: Any) -> None:
    scale, l2, l1, rate, delta = numbers
    data, diff, history = piece(data, unit), piece(diff, unit), piece(history, unit)
    for i in range(data.size):
        gradient = _gradient(data[i], diff[i], scale, l2, l1)
        history[i] += gradient * gradient
        update = rate * (gradient / (np.sqrt(history[i]) + delta))
        diff[i] = update
        data[i] -= update


@kernel(update_rules.adagrad)
def adagrad(data: Any, diff: Any, history: Any, *numbers: Any) -> None:
    spread(adagrad_piece, pieces(data), num_workers(data.size), (data, diff, history, numbers))


@part
def rmsprop_piece(unit: int, worker: int, data: Any, diff: Any, history: Any, numbers: Any) -> None:
    scale, l2, l1, rate, delta, decay, new = numbers
    data, diff, history = piece(data, unit), piece(diff, unit), piece(history, unit)
    for i in range(data.size):
        gradient = _gradient(data[i], diff[i], scale, l2, l1)
        history[i] = decay * history[i] + new * (gradient * gradient)
        update = rate * (gradient / (np.sqrt(history[i]) + delta))
        diff[i] = update
        data[i] -= update


@kernel(update_rules.rmsprop)
def rmsprop(data: Any, diff: Any, history: Any, *numbers: Any) -> None:
    spread(rmsprop_piece, pieces(data), num_workers(data.size), (data, diff, history, numbers))


@part
def adadelta_piece(unit: int, worker: int, data: Any, diff: Any, gradients: Any, updates: Any, numbers: Any) -> None:
    scale, l2, l1, rate, delta, momentum, new = numbers
    data, diff, gradients, updates = piece(data, unit), piece(diff, unit), piece(gradients, unit), piece(updates, unit)
    for i in range(data.size):
        gradient = _gradient(data[i], diff[i], scale, l2, l1)
        gradients[i] = momentum * gradients[i] + new * (gradient * gradient)
        update = gradient * np.sqrt((updates[i] + delta) / (gradients[i] + delta))
        updates[i] = momentum * updates[i] + new * (update * update)
        diff[i] = rate * update
        data[i] -= rate * update


@kernel(update_rules.adadelta)
def adadelta(data: Any, diff: Any, gradients: Any, updates: Any, *numbers: Any) -> None:
    spread(adadelta_piece, pieces(data), num_workers(data.size), (data, diff, gradients, updates, numbers))


@part
def adam_piece(unit: int, worker: int, data: Any, diff: Any, first: Any, second: Any, numbers: Any) -> None:
    scale, l2, l1, rate, delta, beta1, new1, beta2, new2 = numbers
    data, diff, first, second = piece(data, unit), piece(diff, unit), piece(first, unit), piece(second, unit)
    for i in range(data.size):
        gradient = _gradient(data[i], diff[i], scale, l2, l1)
        first[i] = beta1 * first[i] + new1 * gradient
        second[i] = beta2 * second[i] + new2 * (gradient * gradient)
        update = rate * (first[i] / (np.sqrt(second[i]) + delta))
        diff[i] = update
        data[i] -= update


@kernel(update_rules.adam)
def adam(data: Any, diff: Any, first: Any, second: Any, *numbers: Any) -> None:
    spread(adam_piece, pieces(data), num_workers(data.size), (data, diff, first, second, numbers))
