"""Batch normalization of `(N, C, S)`: per channel, over images and pixels.

A channel is read from memory once and stays in cache for the passes that follow. Rows are summed in their own
precision, and the rows' sums in double.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from bicerin.kernels import array_operation, elementwise, has_rows, num_workers, operation, part, spread
from bicerin_normalization.scale_kernels import multiply

__all__ = [
    "accumulate",
    "batch_norm",
    "batch_norm_backward",
    "batch_norm_finished",
    "batch_norm_finished_backward",
    "global_statistics",
    "multiply",
    "normalize",
    "normalize_finished",
]


def normalize_array(xp: Any, x: Any, mean: Any, inverse: Any, y: Any) -> None:
    xp.subtract(x, mean[:, None], out=y)
    y *= inverse[:, None]


@elementwise("x, mean[c], inverse[c] -> y", array=normalize_array)
def normalize(x: Any, mean: Any, inverse: Any) -> Any:
    return (x - mean) * inverse


def batch_norm_array(xp: Any, x: Any, y: Any, mean: Any, variance: Any, inverse: Any, eps: float) -> None:
    mean[...] = x.mean(axis=(0, 2))
    xp.subtract(x, mean[:, None], out=y)
    variance[...] = xp.einsum("ncs,ncs->c", y, y) / (x.shape[0] * x.shape[2])
    inverse[...] = 1 / xp.sqrt(variance + eps)
    y *= inverse[:, None]


@part(fastmath={"reassoc", "contract"})
def channel_statistics(
    c: int, x: np.ndarray, mean: np.ndarray, variance: np.ndarray, inverse: np.ndarray, eps: float
) -> None:
    num, _, size = x.shape
    total = 0.0
    for n in range(num):
        row = x[n, c]
        row_sum = x.dtype.type(0)
        for i in range(row.size):
            row_sum += row[i]
        total += row_sum
    center = x.dtype.type(total / (num * size))
    total = 0.0
    for n in range(num):
        row = x[n, c]
        row_sum = x.dtype.type(0)
        for i in range(row.size):
            row_sum += (row[i] - center) * (row[i] - center)
        total += row_sum
    mean[c] = center
    variance[c] = total / (num * size)
    inverse[c] = 1 / np.sqrt(variance[c] + eps)


@part(fastmath={"reassoc", "contract"})
def batch_norm_channel(
    c: int,
    worker: int,
    x: np.ndarray,
    y: np.ndarray,
    mean: np.ndarray,
    variance: np.ndarray,
    inverse: np.ndarray,
    eps: float,
) -> None:
    channel_statistics(c, x, mean, variance, inverse, eps)
    center, factor = mean[c], inverse[c]
    for n in range(x.shape[0]):
        row, out = x[n, c], y[n, c]
        for i in range(row.size):
            out[i] = (row[i] - center) * factor


@operation(array=batch_norm_array, compiled_where=has_rows)
def batch_norm(
    x: np.ndarray, y: np.ndarray, mean: np.ndarray, variance: np.ndarray, inverse: np.ndarray, eps: float
) -> None:
    """mean and variance of each channel, inverse = 1 / sqrt(variance + eps), y = (x - mean) * inverse; y may be x."""
    spread(batch_norm_channel, x.shape[1], num_workers(x.size), (x, y, mean, variance, inverse, eps))


@batch_norm.cuda
def batch_norm_cuda(kernels: Any, x: Any, y: Any, mean: Any, variance: Any, inverse: Any, eps: float) -> None:
    kernels.batch_statistics.blocks(mean.size, x, mean, variance, inverse, *x.shape, eps)
    kernels.normalize(x.size, x, mean, inverse, y, *x.shape[1:])


def batch_norm_backward_array(
    xp: Any, x: Any, y_diff: Any, mean: Any, inverse: Any, normalized: bool, means: Any, x_diff: Any
) -> None:
    y = x if normalized else (x - mean[:, None]) * inverse[:, None]
    means[0] = y_diff.mean(axis=(0, 2))
    means[1] = xp.einsum("ncs,ncs->c", y_diff, y) / (x.shape[0] * x.shape[2])
    x_diff[...] = (y_diff - means[0][:, None] - means[1][:, None] * y) * inverse[:, None]


@part(fastmath={"reassoc", "contract"})
def batch_norm_channel_backward(
    c: int,
    worker: int,
    x: np.ndarray,
    y_diff: np.ndarray,
    mean: np.ndarray,
    inverse: np.ndarray,
    normalized: bool,
    means: np.ndarray,
    x_diff: np.ndarray,
) -> None:
    num, _, size = x.shape
    scale = inverse[c]
    center = x.dtype.type(0) if normalized else mean[c]
    factor = x.dtype.type(1) if normalized else scale
    total = 0.0
    total_product = 0.0
    for n in range(num):
        row, diff = x[n, c], y_diff[n, c]
        row_sum = x.dtype.type(0)
        product = x.dtype.type(0)
        for i in range(row.size):
            row_sum += diff[i]
            product += diff[i] * (row[i] - center)
        total += row_sum
        total_product += product
    offset = x.dtype.type(total / (num * size))
    product_mean = x.dtype.type(total_product / (num * size)) * factor
    means[0, c] = offset
    means[1, c] = product_mean
    along = product_mean * factor
    for n in range(num):
        row, diff, out = x[n, c], y_diff[n, c], x_diff[n, c]
        for i in range(row.size):
            out[i] = (diff[i] - offset - along * (row[i] - center)) * scale


@operation(array=batch_norm_backward_array, compiled_where=has_rows)
def batch_norm_backward(
    x: np.ndarray,
    y_diff: np.ndarray,
    mean: np.ndarray,
    inverse: np.ndarray,
    normalized: bool,
    means: np.ndarray,
    x_diff: np.ndarray,
) -> None:
    """x_diff = (g - mean(g) - y * mean(g * y)) * inverse for g = y_diff, y = (x - mean) * inverse.

    Args:
        normalized: whether x is y already.
        means: `(2, C)`, for mean(g) and mean(g * y).
        x_diff: may be y_diff.
    """
    arguments = (x, y_diff, mean, inverse, normalized, means, x_diff)
    spread(batch_norm_channel_backward, x.shape[1], num_workers(x.size), arguments)


@batch_norm_backward.cuda
def batch_norm_backward_cuda(
    kernels: Any, x: Any, y_diff: Any, mean: Any, inverse: Any, normalized: bool, means: Any, x_diff: Any
) -> None:
    given = (x, y_diff, mean, inverse, normalized, means)
    kernels.gradient_means.blocks(mean.size, *given, *x.shape)
    kernels.batch_backward(x.size, *given, x_diff, *x.shape[1:])


def finish_array(xp: Any, scale: Any, shift: Any, slope: float, y: Any) -> None:
    y *= scale[:, None]
    y += shift[:, None]
    if slope != 1:
        y[...] = xp.where(y > 0, y, y * slope)


def normalize_finished_array(
    xp: Any, x: Any, mean: Any, inverse: Any, scale: Any, shift: Any, slope: float, y: Any
) -> None:
    normalize_array(xp, x, mean, inverse, y)
    finish_array(xp, scale, shift, slope, y)


@part(fastmath={"reassoc", "contract"})
def normalize_finished_channel(
    c: int,
    worker: int,
    x: np.ndarray,
    mean: np.ndarray,
    inverse: np.ndarray,
    scale: np.ndarray,
    shift: np.ndarray,
    slope: float,
    y: np.ndarray,
) -> None:
    center, factor, summand = mean[c], inverse[c] * scale[c], shift[c]
    for n in range(x.shape[0]):
        row, out = x[n, c], y[n, c]
        for i in range(row.size):
            value = (row[i] - center) * factor + summand
            # NaN, which fails every comparison, stays NaN.
            out[i] = value * slope if value <= 0 else value


@operation(array=normalize_finished_array, compiled_where=has_rows)
def normalize_finished(
    x: np.ndarray,
    mean: np.ndarray,
    inverse: np.ndarray,
    scale: np.ndarray,
    shift: np.ndarray,
    slope: float,
    y: np.ndarray,
) -> None:
    """y as `batch_norm_finished` writes it, from the statistics that it found."""
    arguments = (x, mean, inverse, scale, shift, slope, y)
    spread(normalize_finished_channel, x.shape[1], num_workers(x.size), arguments)


def batch_norm_finished_array(
    xp: Any,
    x: Any,
    y: Any,
    mean: Any,
    variance: Any,
    inverse: Any,
    eps: float,
    scale: Any,
    shift: Any,
    slope: float,
) -> None:
    batch_norm_array(xp, x, y, mean, variance, inverse, eps)
    finish_array(xp, scale, shift, slope, y)


@part(fastmath={"reassoc", "contract"})
def batch_norm_finished_channel(
    c: int,
    worker: int,
    x: np.ndarray,
    y: np.ndarray,
    mean: np.ndarray,
    variance: np.ndarray,
    inverse: np.ndarray,
    eps: float,
    scale: np.ndarray,
    shift: np.ndarray,
    slope: float,
) -> None:
    channel_statistics(c, x, mean, variance, inverse, eps)
    normalize_finished_channel(c, worker, x, mean, inverse, scale, shift, slope, y)


@operation(array=batch_norm_finished_array, compiled_where=has_rows)
def batch_norm_finished(
    x: np.ndarray,
    y: np.ndarray,
    mean: np.ndarray,
    variance: np.ndarray,
    inverse: np.ndarray,
    eps: float,
    scale: np.ndarray,
    shift: np.ndarray,
    slope: float,
) -> None:
    """As `batch_norm`, and then y = f(scale * y + shift), f(v) = v where v > 0, else slope * v; y is not x."""
    arguments = (x, y, mean, variance, inverse, eps, scale, shift, slope)
    spread(batch_norm_finished_channel, x.shape[1], num_workers(x.size), arguments)


def batch_norm_finished_backward_array(
    xp: Any,
    x: Any,
    y_diff: Any,
    mean: Any,
    inverse: Any,
    scale: Any,
    shift: Any,
    slope: float,
    wants_bottom: bool,
    sums: Any,
    x_diff: Any,
) -> None:
    normalized = (x - mean[:, None]) * inverse[:, None]
    positive = normalized * scale[:, None] + shift[:, None] > 0
    gradient = y_diff if slope == 1 else xp.where(positive, y_diff, y_diff * slope)
    sums[0] = gradient.sum(axis=(0, 2))
    sums[1] = xp.einsum("ncs,ncs->c", gradient, normalized)
    if wants_bottom:
        means = sums / (x.shape[0] * x.shape[2])
        inner = gradient - means[0][:, None] - means[1][:, None] * normalized
        xp.multiply(inner, (scale * inverse)[:, None], out=x_diff)


@part(fastmath={"reassoc", "contract"})
def batch_norm_finished_channel_backward(
    c: int,
    worker: int,
    x: np.ndarray,
    y_diff: np.ndarray,
    mean: np.ndarray,
    inverse: np.ndarray,
    scale: np.ndarray,
    shift: np.ndarray,
    slope: float,
    wants_bottom: bool,
    sums: np.ndarray,
    x_diff: np.ndarray,
) -> None:
    num, _, size = x.shape
    center, factor = mean[c], inverse[c]
    outer, summand = factor * scale[c], shift[c]
    total = 0.0
    total_product = 0.0
    for n in range(num):
        row, diff = x[n, c], y_diff[n, c]
        row_sum = x.dtype.type(0)
        product = x.dtype.type(0)
        for i in range(row.size):
            value = diff[i] if (row[i] - center) * outer + summand > 0 else diff[i] * slope
            row_sum += value
            product += value * (row[i] - center)
        total += row_sum
        total_product += product
    sums[0, c] = total
    sums[1, c] = total_product * factor
    if not wants_bottom:
        return
    offset = x.dtype.type(total / (num * size))
    along = x.dtype.type(total_product / (num * size)) * factor * factor
    for n in range(num):
        row, diff, out = x[n, c], y_diff[n, c], x_diff[n, c]
        for i in range(row.size):
            value = diff[i] if (row[i] - center) * outer + summand > 0 else diff[i] * slope
            out[i] = (value - offset - along * (row[i] - center)) * outer


@operation(array=batch_norm_finished_backward_array, compiled_where=has_rows)
def batch_norm_finished_backward(
    x: np.ndarray,
    y_diff: np.ndarray,
    mean: np.ndarray,
    inverse: np.ndarray,
    scale: np.ndarray,
    shift: np.ndarray,
    slope: float,
    wants_bottom: bool,
    sums: np.ndarray,
    x_diff: np.ndarray,
) -> None:
    """The gradients of `batch_norm_finished`, whose y is not read: its sign follows from x.

    Args:
        wants_bottom: whether x_diff is written; it may be y_diff.
        sums: `(2, C)`, for the gradients of shift and scale.
    """
    arguments = (x, y_diff, mean, inverse, scale, shift, slope, wants_bottom, sums, x_diff)
    spread(batch_norm_finished_channel_backward, x.shape[1], num_workers(x.size), arguments)


@array_operation
def accumulate(
    xp: Any, mean: Any, variance: Any, fraction: float, unbiased: float, means: Any, variances: Any, weight: Any
) -> None:
    """Take a batch into the running sums: each is `fraction` of what it was, and what is new."""
    means[...] = fraction * means + mean
    variances[...] = fraction * variances + unbiased * variance
    weight[...] = fraction * weight + 1


@accumulate.cuda
def accumulate_cuda(kernels: Any, mean: Any, *others: Any) -> None:
    kernels.accumulate(mean.size, mean, *others)


def global_statistics_array(
    xp: Any, means: Any, variances: Any, weight: Any, mean: Any, inverse: Any, eps: float
) -> None:
    known = weight != 0
    factor = known / xp.where(known, weight, 1)
    xp.multiply(factor, means, out=mean)
    inverse[...] = 1 / xp.sqrt(factor * variances + eps)


@operation(array=global_statistics_array)
def global_statistics(
    means: np.ndarray, variances: np.ndarray, weight: np.ndarray, mean: np.ndarray, inverse: np.ndarray, eps: float
) -> None:
    """mean and inverse = 1 / sqrt(variance + eps) of running sums; before the first batch both sums count as zeros."""
    zero, one = mean.dtype.type(0), mean.dtype.type(1)
    factor = one / weight[0] if weight[0] != zero else zero
    summand = mean.dtype.type(eps)
    for c in range(mean.size):
        mean[c] = factor * means[c]
        inverse[c] = one / np.sqrt(factor * variances[c] + summand)


@global_statistics.cuda
def global_statistics_cuda(
    kernels: Any, means: Any, variances: Any, weight: Any, mean: Any, inverse: Any, eps: float
) -> None:
    kernels.global_statistics(mean.size, means, variances, weight, mean, inverse, eps)
