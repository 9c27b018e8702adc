"""Softmax and its loss over arrays of shape (outer, classes, inner): kernels, each beside its formula.

With inner = 1 a task is a row of classes. Otherwise it is a block of `BLOCK` positions: their maxima and sums stay in
the cache while the classes go by, and the inner loop is contiguous.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from bicerin.kernels import num_workers, operation, part, spread
from bicerin.kernels.exp import exponential

BLOCK = 256
LANES = 16


def softmax_array(xp: Any, x: Any, y: Any) -> None:
    if x.size:
        with np.errstate(invalid="ignore"):
            xp.subtract(x, x.max(axis=1, keepdims=True), out=y)
            xp.exp(y, out=y)
            y /= y.sum(axis=1, keepdims=True)


@part
def rows(array):  # type: ignore[no-untyped-def]
    """An array with inner = 1 as one of contiguous rows."""
    return array.reshape(array.shape[0], array.shape[1])


@part
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


@part(fastmath={"contract", "reassoc"})
def softmax_row(image, worker, x, y):  # type: ignore[no-untyped-def]
    """Softmax of a row of classes, with inner = 1."""
    source, target = rows(x)[image], rows(y)[image]
    top = largest(source)
    for k in range(source.size):
        target[k] = exponential(source[k] - top)
    # A second loop: the compiler makes two versions of one that writes, for arrays that may overlap or cannot, and they
    # sum in different orders.
    total = x.dtype.type(0)
    for k in range(source.size):
        total += target[k]
    scale = x.dtype.type(1) / total
    for k in range(source.size):
        target[k] *= scale


@part(fastmath={"contract", "reassoc"})
def softmax_block(task, worker, x, y):  # type: ignore[no-untyped-def]
    """Softmax of BLOCK positions."""
    _, classes, inner = x.shape
    blocks = -(-inner // BLOCK)
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


@operation(array=softmax_array)
def softmax(x, y):  # type: ignore[no-untyped-def]
    """Write the softmax over axis 1 of `x` into `y`, which may be the same array."""
    outer, classes, inner = x.shape
    workers = num_workers(x.size)
    if inner == 1:
        spread(softmax_row, outer if classes else 0, workers, (x, y))
    else:
        spread(softmax_block, outer * -(-inner // BLOCK), workers, (x, y))


@softmax.cuda
def softmax_cuda(kernels: Any, x: Any, y: Any) -> None:
    outer, classes, inner = x.shape
    if not classes:
        return
    if inner == 1:
        kernels.row_softmax.blocks(outer, x, y, classes)
    else:
        kernels.column_softmax(outer * inner, x, y, classes, inner)


def softmax_backward_array(xp: Any, y: Any, y_diff: Any, x_diff: Any) -> None:
    xp.multiply(y, y_diff - (y * y_diff).sum(axis=1, keepdims=True), out=x_diff)


@part(fastmath={"contract", "reassoc"})
def softmax_row_backward(image, worker, y, y_diff, x_diff):  # type: ignore[no-untyped-def]
    row, source, target = rows(y)[image], rows(y_diff)[image], rows(x_diff)[image]
    total = y.dtype.type(0)
    for k in range(row.size):
        total += row[k] * source[k]
    for k in range(row.size):
        target[k] = row[k] * (source[k] - total)


@part(fastmath={"contract", "reassoc"})
def softmax_block_backward(task, worker, y, y_diff, x_diff):  # type: ignore[no-untyped-def]
    _, classes, inner = y.shape
    blocks = -(-inner // BLOCK)
    image, start = task // blocks, task % blocks * BLOCK
    stop = min(start + BLOCK, inner)
    totals = np.zeros(BLOCK, y.dtype)
    for k in range(classes):
        values, source = y[image, k, start:stop], y_diff[image, k, start:stop]
        for i in range(values.size):
            totals[i] += values[i] * source[i]
    for k in range(classes):
        values, source, target = y[image, k, start:stop], y_diff[image, k, start:stop], x_diff[image, k, start:stop]
        for i in range(values.size):
            target[i] = values[i] * (source[i] - totals[i])


@operation(array=softmax_backward_array)
def softmax_backward(y, y_diff, x_diff):  # type: ignore[no-untyped-def]
    """Write y · (y_diff - Σ y · y_diff) into `x_diff`, which may be `y_diff`."""
    outer, _, inner = y.shape
    workers = num_workers(y.size)
    if inner == 1:
        spread(softmax_row_backward, outer, workers, (y, y_diff, x_diff))
    else:
        spread(softmax_block_backward, outer * -(-inner // BLOCK), workers, (y, y_diff, x_diff))


@softmax_backward.cuda
def softmax_backward_cuda(kernels: Any, y: Any, y_diff: Any, x_diff: Any) -> None:
    outer, classes, inner = y.shape
    if inner == 1:
        kernels.row_backward.blocks(outer, y, y_diff, x_diff, classes)
    else:
        kernels.column_backward(outer * inner, y, y_diff, x_diff, classes, inner)


def logarithm_loss_array(xp: Any, probability: Any, labels: Any, least: float) -> Any:
    chosen = xp.take_along_axis(probability, xp.maximum(labels, 0)[:, None, :], axis=1)[:, 0, :]
    return -xp.log(xp.maximum(chosen, least)[labels >= 0]).sum(dtype=np.float64)


@part
def logarithm_loss_of_image(image, worker, probability, labels, smallest, losses):  # type: ignore[no-untyped-def]
    total = 0.0
    for i in range(labels.shape[1]):
        if labels[image, i] >= 0:
            p = probability[image, labels[image, i], i]
            total -= np.log(smallest if p < smallest else p)
    losses[image] = total


@operation(array=logarithm_loss_array)
def logarithm_loss(probability, labels, least):  # type: ignore[no-untyped-def]
    """-Σ log(max(p, least)), p the probability of each label but those of -1; labels are (outer, inner)."""
    losses = np.empty(len(labels))
    arguments = (probability, labels, probability.dtype.type(least), losses)
    spread(logarithm_loss_of_image, len(labels), num_workers(labels.size), arguments)
    return losses.sum()


@logarithm_loss.cuda
def logarithm_loss_cuda(kernels: Any, probability: Any, labels: Any, least: float) -> Any:
    losses = kernels.xp.empty(labels.shape, probability.dtype)
    kernels.label_losses(losses.size, probability, labels, losses, least, *probability.shape[1:])
    return losses.sum(dtype=np.float64)


def logarithm_loss_backward_array(xp: Any, probability: Any, labels: Any, scale: float, diff: Any) -> None:
    right = labels[:, None, :] == xp.arange(probability.shape[1])[:, None]
    diff[...] = xp.where(labels[:, None, :] >= 0, (probability - right) * scale, 0)


@part
def logarithm_loss_row_backward(image, worker, probability, labels, scale, diff):  # type: ignore[no-untyped-def]
    """A row of classes, with inner = 1."""
    label = labels[image, 0]
    source, target = rows(probability)[image], rows(diff)[image]
    if label < 0:
        target[:] = 0
        return
    for k in range(source.size):
        target[k] = source[k] * scale
    target[label] = (source[label] - diff.dtype.type(1)) * scale


@part
def logarithm_loss_class_backward(row, worker, probability, labels, scale, diff):  # type: ignore[no-untyped-def]
    """One class at all positions of an image."""
    classes = probability.shape[1]
    image, k = row // classes, row % classes
    source, target, label = probability[image, k], diff[image, k], labels[image]
    zero, one = diff.dtype.type(0), diff.dtype.type(1)
    for i in range(source.size):
        value = (source[i] - (one if label[i] == k else zero)) * scale
        target[i] = value if label[i] >= 0 else zero


@operation(array=logarithm_loss_backward_array)
def logarithm_loss_backward(probability, labels, scale, diff):  # type: ignore[no-untyped-def]
    """Write (p - 1 at the label, p elsewhere) · scale into `diff`, and 0 where the label is -1."""
    outer, classes, inner = probability.shape
    workers = num_workers(probability.size)
    arguments = (probability, labels, diff.dtype.type(scale), diff)
    if inner == 1:
        spread(logarithm_loss_row_backward, outer, workers, arguments)
    else:
        spread(logarithm_loss_class_backward, outer * classes, workers, arguments)


@logarithm_loss_backward.cuda
def logarithm_loss_backward_cuda(kernels: Any, probability: Any, labels: Any, scale: Any, diff: Any) -> None:
    kernels.loss_backward(diff.size, probability, labels, scale, diff, *probability.shape[1:])
