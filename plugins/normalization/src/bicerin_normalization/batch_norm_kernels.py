"""Batch normalization of `(N, C, S)`: per channel, over images and pixels.

A channel is read from memory once and stays in cache for the passes that follow. Rows are summed in their own
precision, and the rows' sums in double.
"""

from __future__ import annotations

import numpy as np

from bicerin.kernels import kernel, num_workers, part, spread


def batch_norm_reference(
    x: np.ndarray, y: np.ndarray, mean: np.ndarray, variance: np.ndarray, inverse: np.ndarray, eps: float
) -> None:
    mean[...] = x.mean(axis=(0, 2))
    np.subtract(x, mean[:, None], out=y)
    variance[...] = np.einsum("ncs,ncs->c", y, y) / (x.shape[0] * x.shape[2])
    inverse[...] = 1 / np.sqrt(variance + x.dtype.type(eps))
    y *= inverse[:, None]


def batch_norm_backward_reference(
    x: np.ndarray, mean: np.ndarray, rate: np.ndarray, inverse: np.ndarray, y_diff: np.ndarray, x_diff: np.ndarray
) -> None:
    y = (x - mean[:, None]) * rate[:, None]
    count = x.shape[0] * x.shape[2]
    along = np.einsum("ncs,ncs->c", y_diff, y) / count
    x_diff[...] = (y_diff - y_diff.mean(axis=(0, 2))[:, None] - along[:, None] * y) * inverse[:, None]


def normalize_reference(x: np.ndarray, mean: np.ndarray, inverse: np.ndarray, y: np.ndarray) -> None:
    np.subtract(x, mean[:, None], out=y)
    y *= inverse[:, None]


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
    factor = inverse[c]
    for n in range(num):
        row, out = x[n, c], y[n, c]
        for i in range(row.size):
            out[i] = (row[i] - center) * factor


@kernel(reference=batch_norm_reference)
def batch_norm(
    x: np.ndarray, y: np.ndarray, mean: np.ndarray, variance: np.ndarray, inverse: np.ndarray, eps: float
) -> None:
    """mean and variance of each channel, inverse = 1 / sqrt(variance + eps), y = (x - mean) * inverse; y may be x."""
    spread(batch_norm_channel, x.shape[1], num_workers(x.size), (x, y, mean, variance, inverse, eps))


@part(fastmath={"reassoc", "contract"})
def batch_norm_channel_backward(
    c: int,
    worker: int,
    x: np.ndarray,
    mean: np.ndarray,
    rate: np.ndarray,
    inverse: np.ndarray,
    y_diff: np.ndarray,
    x_diff: np.ndarray,
) -> None:
    num, _, size = x.shape
    center, factor, scale = mean[c], rate[c], inverse[c]
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
    along = x.dtype.type(total_product / (num * size)) * factor * factor
    for n in range(num):
        row, diff, out = x[n, c], y_diff[n, c], x_diff[n, c]
        for i in range(row.size):
            out[i] = (diff[i] - offset - along * (row[i] - center)) * scale


@kernel(reference=batch_norm_backward_reference)
def batch_norm_backward(
    x: np.ndarray, mean: np.ndarray, rate: np.ndarray, inverse: np.ndarray, y_diff: np.ndarray, x_diff: np.ndarray
) -> None:
    """x_diff = (g - mean(g) - y * mean(g * y)) * inverse for g = y_diff, y = (x - mean) * rate.

    x_diff may be y_diff.
    """
    arguments = (x, mean, rate, inverse, y_diff, x_diff)
    spread(batch_norm_channel_backward, x.shape[1], num_workers(x.size), arguments)


@part
def rows(array: np.ndarray) -> np.ndarray:
    """Images and channels as one axis."""
    return array.reshape(array.shape[0] * array.shape[1], array.shape[2])


@part
def normalize_row(plane: int, worker: int, x: np.ndarray, mean: np.ndarray, inverse: np.ndarray, y: np.ndarray) -> None:
    row, out, c = x[plane], y[plane], plane % mean.size
    center, factor = mean[c], inverse[c]
    for i in range(row.size):
        out[i] = (row[i] - center) * factor


@kernel(reference=normalize_reference)
def normalize(x: np.ndarray, mean: np.ndarray, inverse: np.ndarray, y: np.ndarray) -> None:
    """y = (x - mean) * inverse; y may be x."""
    spread(normalize_row, x.shape[0] * x.shape[1], num_workers(x.size), (rows(x), mean, inverse, rows(y)))
