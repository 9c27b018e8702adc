"""Softmax and its loss over arrays of shape (outer, classes, inner): kernels, each beside its formula.

With inner = 1 a task is a row of classes. Otherwise it is a block of `BLOCK` positions: their maxima and sums stay in
the cache while the classes go by, and the inner loop is contiguous.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from bicerin.exponential import exponential
from bicerin.kernels import SMALL, kernel, prange

BLOCK = 256
LANES = 16


def softmax_array(xp: Any, x: Any, y: Any) -> None:
    if x.size:
        with np.errstate(invalid="ignore"):
            xp.subtract(x, x.max(axis=1, keepdims=True), out=y)
            xp.exp(y, out=y)
            y /= y.sum(axis=1, keepdims=True)


@kernel()
def largest(row):  # type: ignore[no-untyped-def]
    """The largest element of a row, in independent lanes that the compiler can compare at once."""
    lanes = np.full(LANES, row[0])
    whole = row.size // LANES * LANES
    for start in range(0, whole, LANES):
        for lane in range(LANES):
            value = row[start + lane]
            lanes[lane] = value if value > lanes[lane] else lanes[lane]
    result = row[0]
    for i in range(whole, row.size):
        result = max(result, row[i])
    for lane in range(LANES):
        result = max(result, lanes[lane])
    return result


@kernel(reference=partial(softmax_array, np), parallel=True, serial_below=SMALL, fastmath={"contract", "reassoc"})
def softmax(x, y):  # type: ignore[no-untyped-def]
    """Write the softmax over axis 1 of `x` into `y`, which may be the same array."""
    outer, classes, inner = x.shape
    if inner == 1:
        sources, targets = x.reshape(outer, classes), y.reshape(outer, classes)
        for image in prange(outer if classes else 0):
            source, target = sources[image], targets[image]
            top = largest(source)
            total = x.dtype.type(0)
            for k in range(classes):
                value = exponential(source[k] - top)
                target[k] = value
                total += value
            scale = x.dtype.type(1) / total
            for k in range(classes):
                target[k] *= scale
    else:
        blocks = (inner + BLOCK - 1) // BLOCK
        for task in prange(outer * blocks):
            image, start = task // blocks, task % blocks * BLOCK
            stop = min(start + BLOCK, inner)
            tops = np.full(BLOCK, -np.inf, x.dtype)
            totals = np.zeros(BLOCK, x.dtype)
            for k in range(classes):
                source = x[image, k, start:stop]
                for i in range(source.size):
                    tops[i] = source[i] if source[i] > tops[i] else tops[i]
            for k in range(classes):
                source, target = x[image, k, start:stop], y[image, k, start:stop]
                for i in range(source.size):
                    value = exponential(source[i] - tops[i])
                    target[i] = value
                    totals[i] += value
            for i in range(stop - start):
                totals[i] = x.dtype.type(1) / totals[i]
            for k in range(classes):
                target = y[image, k, start:stop]
                for i in range(target.size):
                    target[i] *= totals[i]


def softmax_backward_array(xp: Any, y: Any, y_diff: Any, x_diff: Any) -> None:
    xp.multiply(y, y_diff - (y * y_diff).sum(axis=1, keepdims=True), out=x_diff)


@kernel(
    reference=partial(softmax_backward_array, np), parallel=True, serial_below=SMALL, fastmath={"contract", "reassoc"}
)
def softmax_backward(y, y_diff, x_diff):  # type: ignore[no-untyped-def]
    """Write y · (y_diff - Σ y · y_diff) into `x_diff`, which may be `y_diff`."""
    outer, classes, inner = y.shape
    blocks = (inner + BLOCK - 1) // BLOCK
    if inner == 1:
        rows, sources, targets = (
            y.reshape(outer, classes),
            y_diff.reshape(outer, classes),
            x_diff.reshape(outer, classes),
        )
        for image in prange(outer):
            row, source, target = rows[image], sources[image], targets[image]
            total = y.dtype.type(0)
            for k in range(classes):
                total += row[k] * source[k]
            for k in range(classes):
                target[k] = row[k] * (source[k] - total)
    else:
        for task in prange(outer * blocks):
            image, start = task // blocks, task % blocks * BLOCK
            stop = min(start + BLOCK, inner)
            totals = np.zeros(BLOCK, y.dtype)
            for k in range(classes):
                for i in range(stop - start):
                    totals[i] += y[image, k, start + i] * y_diff[image, k, start + i]
            for k in range(classes):
                for i in range(stop - start):
                    at = start + i
                    x_diff[image, k, at] = y[image, k, at] * (y_diff[image, k, at] - totals[i])


def logarithm_loss_array(xp: Any, probability: Any, labels: Any, least: float) -> Any:
    chosen = xp.take_along_axis(probability, xp.maximum(labels, 0)[:, None, :], axis=1)[:, 0, :]
    return -xp.log(xp.maximum(chosen, least)[labels >= 0]).sum(dtype=np.float64)


@kernel(reference=partial(logarithm_loss_array, np), parallel=True, serial_below=SMALL)
def logarithm_loss(probability, labels, least):  # type: ignore[no-untyped-def]
    """-Σ log(max(p, least)), p the probability of each label but those of -1; labels are (outer, inner)."""
    inner = probability.shape[2]
    smallest = probability.dtype.type(least)
    total = 0.0
    for position in prange(labels.size):
        image, i = position // inner, position % inner
        if labels[image, i] >= 0:
            p = probability[image, labels[image, i], i]
            total -= np.log(smallest if p < smallest else p)
    return total


def logarithm_loss_backward_array(xp: Any, probability: Any, labels: Any, scale: float, diff: Any) -> None:
    right = labels[:, None, :] == xp.arange(probability.shape[1])[:, None]
    diff[...] = xp.where(labels[:, None, :] >= 0, (probability - right) * scale, 0)


@kernel(reference=partial(logarithm_loss_backward_array, np), parallel=True, serial_below=SMALL)
def logarithm_loss_backward(probability, labels, scale, diff):  # type: ignore[no-untyped-def]
    """Write (p - 1 at the label, p elsewhere) · scale into `diff`, and 0 where the label is -1."""
    outer, classes, inner = probability.shape
    zero, one, scale = diff.dtype.type(0), diff.dtype.type(1), diff.dtype.type(scale)
    if inner == 1:
        probability_rows, diff_rows = probability.reshape(outer, classes), diff.reshape(outer, classes)
        for image in prange(outer):
            label = labels[image, 0]
            source, target = probability_rows[image], diff_rows[image]
            if label < 0:
                target[:] = zero
            else:
                for k in range(classes):
                    target[k] = source[k] * scale
                target[label] = (source[label] - one) * scale
    else:
        for row in prange(outer * classes):
            image, k = row // classes, row % classes
            for i in range(inner):
                right = one if labels[image, i] == k else zero
                value = (probability[image, k, i] - right) * scale
                diff[image, k, i] = value if labels[image, i] >= 0 else zero
