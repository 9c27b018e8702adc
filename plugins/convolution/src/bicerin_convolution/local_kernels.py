"""Products of columns (N, K, P) with weights of each position (M, K, P): (N, M, P), and their gradients."""

from __future__ import annotations

from typing import Any

from bicerin.kernels import num_workers, operation, part, spread


def multiply_array(xp: Any, weights: Any, columns: Any, y: Any) -> None:
    y[...] = (columns.transpose(2, 0, 1) @ weights.transpose(2, 1, 0)).transpose(1, 2, 0)


@part
def multiply_for_output(output: Any, worker: Any, weights: Any, columns: Any, y: Any) -> None:
    number, depth, positions = columns.shape
    for n in range(number):
        target = y[n, output]
        for p in range(positions):
            target[p] = 0
    # Each weight is read once, for all items.
    for k in range(depth):
        weight = weights[output, k]
        for n in range(number):
            source, target = columns[n, k], y[n, output]
            for p in range(positions):
                target[p] += weight[p] * source[p]


@operation(array=multiply_array)
def multiply(weights: Any, columns: Any, y: Any) -> None:
    """y[n, m, p] = Σ_k weights[m, k, p] · columns[n, k, p]."""
    spread(multiply_for_output, len(weights), num_workers(weights.size), (weights, columns, y))


def add_weight_gradient_array(xp: Any, y_diff: Any, columns: Any, weights_diff: Any) -> None:
    weights_diff += (y_diff.transpose(2, 1, 0) @ columns.transpose(2, 0, 1)).transpose(1, 2, 0)


@part
def weight_gradient_for_output(output: Any, worker: Any, y_diff: Any, columns: Any, weights_diff: Any) -> None:
    number, depth, positions = columns.shape
    for k in range(depth):
        target = weights_diff[output, k]
        for n in range(number):
            source, diff = columns[n, k], y_diff[n, output]
            for p in range(positions):
                target[p] += diff[p] * source[p]


@operation(array=add_weight_gradient_array)
def add_weight_gradient(y_diff: Any, columns: Any, weights_diff: Any) -> None:
    """weights_diff[m, k, p] += Σ_n y_diff[n, m, p] · columns[n, k, p]."""
    workers = num_workers(weights_diff.size)
    spread(weight_gradient_for_output, len(weights_diff), workers, (y_diff, columns, weights_diff))


def column_gradient_array(xp: Any, y_diff: Any, weights: Any, columns_diff: Any) -> None:
    columns_diff[...] = (y_diff.transpose(2, 0, 1) @ weights.transpose(2, 0, 1)).transpose(1, 2, 0)


@part
def column_gradient_of_depth(k: Any, worker: Any, y_diff: Any, weights: Any, columns_diff: Any) -> None:
    number, outputs, positions = y_diff.shape
    for n in range(number):
        target = columns_diff[n, k]
        for p in range(positions):
            target[p] = 0
    for m in range(outputs):
        weight = weights[m, k]
        for n in range(number):
            diff, target = y_diff[n, m], columns_diff[n, k]
            for p in range(positions):
                target[p] += diff[p] * weight[p]


@operation(array=column_gradient_array)
def column_gradient(y_diff: Any, weights: Any, columns_diff: Any) -> None:
    """columns_diff[n, k, p] = Σ_m y_diff[n, m, p] · weights[m, k, p]."""
    workers = num_workers(weights.size)
    spread(column_gradient_of_depth, weights.shape[1], workers, (y_diff, weights, columns_diff))
