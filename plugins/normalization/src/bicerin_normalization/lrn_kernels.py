"""Local response normalization: y = x * s^-beta, s = shift + alpha / n * (sum of x^2 over a neighbourhood of n values).

With r = dy * x * s^(-beta - 1), the gradient is dy * s^-beta - 2 * alpha * beta / n * x * (sum of r over the
neighbourhood); neighbourhoods are symmetric, so it is the same sum again. Both passes fuse everything into one sweep
over tiles that stay in cache.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from bicerin.kernels import num_workers, operation, part, spread

#: Pixels that one task of the kernels across channels takes; with all their channels they fit the second-level cache.
TILE = 512


def _channel_sum(xp: Any, values: Any, size: int) -> Any:
    """The sum over `size` channels around each, of `(N, C, S)`."""
    half, channels = size // 2, values.shape[1]
    padded = xp.zeros((values.shape[0], channels + 2 * half, values.shape[2]), values.dtype)
    padded[:, half : half + channels] = values
    total = xp.zeros_like(values)
    for i in range(size):
        total += padded[:, i : i + channels]
    return total


def _box_sum(xp: Any, values: Any, size: int) -> Any:
    """The sum over `size` x `size` pixels around each, of `(planes, H, W)`."""
    half, (height, width) = size // 2, values.shape[1:]
    padded = xp.zeros((len(values), height + 2 * half, width + 2 * half), values.dtype)
    padded[:, half : half + height, half : half + width] = values
    total = xp.zeros_like(values)
    for i in range(size):
        for j in range(size):
            total += padded[:, i : i + height, j : j + width]
    return total


def _divide(x: Any, sums: Any, y: Any, scale: Any, rate: float, beta: float, shift: float) -> None:
    s = shift + rate * sums
    if scale.size:
        scale[...] = s
    y[...] = x * s**-beta


def across_array(xp: Any, x: Any, y: Any, scale: Any, size: int, rate: float, beta: float, shift: float) -> None:
    _divide(x, _channel_sum(xp, x * x, size), y, scale, rate, beta, shift)


def within_array(xp: Any, x: Any, y: Any, scale: Any, size: int, rate: float, beta: float, shift: float) -> None:
    _divide(x, _box_sum(xp, x * x, size), y, scale, rate, beta, shift)


def across_backward_array(
    xp: Any, x: Any, scale: Any, y_diff: Any, ratio: Any, x_diff: Any, size: int, rate: float, beta: float
) -> None:
    power = scale**-beta
    xp.divide(y_diff * x * power, scale, out=ratio)
    x_diff[...] = y_diff * power - 2 * rate * beta * x * _channel_sum(xp, ratio, size)


def within_backward_array(
    xp: Any, x: Any, scale: Any, y_diff: Any, ratio: Any, x_diff: Any, size: int, rate: float, beta: float
) -> None:
    power = scale**-beta
    xp.divide(y_diff * x * power, scale, out=ratio)
    x_diff[...] = y_diff * power - 2 * rate * beta * x * _box_sum(xp, ratio, size)


@part
def _negative_power(values: np.ndarray, beta: float, out: np.ndarray) -> None:
    """out = values^-beta; the usual 0.75 is two square roots, which run in vectors as a general power does not."""
    if beta == 0.75:
        for i in range(values.size):
            root = np.sqrt(values[i])
            out[i] = values.dtype.type(1) / (root * np.sqrt(root))
    else:
        exponent = values.dtype.type(-beta)
        for i in range(values.size):
            out[i] = values[i] ** exponent


@part
def across_tile(
    task: int,
    worker: int,
    x: np.ndarray,
    y: np.ndarray,
    scale: np.ndarray,
    size: int,
    rate: float,
    beta: float,
    shift: float,
) -> None:
    """One tile of an image, all its channels."""
    _, channels, pixels = x.shape
    tiles = -(-pixels // TILE)
    n, start = task // tiles, task % tiles * TILE
    stop = min(start + TILE, pixels)
    half = size // 2
    sums = np.empty(stop - start, x.dtype)
    power = np.empty(stop - start, x.dtype)
    for c in range(channels):
        sums[:] = 0
        for near in range(max(c - half, 0), min(c + half + 1, channels)):
            row = x[n, near, start:stop]
            for i in range(sums.size):
                sums[i] += row[i] * row[i]
        for i in range(sums.size):
            sums[i] = shift + rate * sums[i]
        if scale.size:
            kept = scale[n, c, start:stop]
            for i in range(sums.size):
                kept[i] = sums[i]
        _negative_power(sums, beta, power)
        row, out = x[n, c, start:stop], y[n, c, start:stop]
        for i in range(sums.size):
            out[i] = row[i] * power[i]


@operation(array=across_array)
def across(x: np.ndarray, y: np.ndarray, scale: np.ndarray, size: int, rate: float, beta: float, shift: float) -> None:
    """y and scale of x, all `(N, C, S)`, for neighbourhoods of `size` channels; an empty scale is omitted."""
    arguments = (x, y, scale, size, x.dtype.type(rate), beta, x.dtype.type(shift))
    spread(across_tile, len(x) * -(-x.shape[2] // TILE), num_workers(x.size), arguments)


@across.cuda
def across_cuda(kernels: Any, x: Any, y: Any, scale: Any, size: int, rate: float, beta: float, shift: float) -> None:
    kernels.across(x.size, x, y, scale, scale.size > 0, *x.shape[1:], size, rate, beta, shift)


@part
def across_tile_backward(
    task: int,
    worker: int,
    x: np.ndarray,
    scale: np.ndarray,
    y_diff: np.ndarray,
    x_diff: np.ndarray,
    size: int,
    factor: float,
    beta: float,
) -> None:
    """One tile of an image, all its channels."""
    _, channels, pixels = x.shape
    tiles = -(-pixels // TILE)
    n, start = task // tiles, task % tiles * TILE
    stop = min(start + TILE, pixels)
    half = size // 2
    sums = np.empty(stop - start, x.dtype)
    powers = np.empty((channels, stop - start), x.dtype)
    ratios = np.empty((channels, stop - start), x.dtype)
    for c in range(channels):
        row, diff, s = x[n, c, start:stop], y_diff[n, c, start:stop], scale[n, c, start:stop]
        power, ratio = powers[c], ratios[c]
        _negative_power(s, beta, power)
        for i in range(sums.size):
            ratio[i] = diff[i] * row[i] * power[i] / s[i]
    for c in range(channels):
        sums[:] = 0
        for near in range(max(c - half, 0), min(c + half + 1, channels)):
            ratio = ratios[near]
            for i in range(sums.size):
                sums[i] += ratio[i]
        row, diff, out = x[n, c, start:stop], y_diff[n, c, start:stop], x_diff[n, c, start:stop]
        power = powers[c]
        for i in range(sums.size):
            out[i] = diff[i] * power[i] - factor * row[i] * sums[i]


@operation(array=across_backward_array)
def across_backward(
    x: np.ndarray,
    scale: np.ndarray,
    y_diff: np.ndarray,
    ratio: np.ndarray,
    x_diff: np.ndarray,
    size: int,
    rate: float,
    beta: float,
) -> None:
    """x_diff of x, scale and y_diff, all `(N, C, S)`.

    Args:
        ratio: memory for r, of the same shape; the compiled kernel keeps r a tile at a time and leaves it alone.
    """
    arguments = (x, scale, y_diff, x_diff, size, x.dtype.type(2 * rate * beta), beta)
    spread(across_tile_backward, len(x) * -(-x.shape[2] // TILE), num_workers(x.size), arguments)


@across_backward.cuda
def across_backward_cuda(
    kernels: Any, x: Any, scale: Any, y_diff: Any, ratio: Any, x_diff: Any, size: int, rate: float, beta: float
) -> None:
    kernels.ratios(x.size, x, scale, y_diff, ratio, beta)
    kernels.across_backward(x.size, x, scale, y_diff, ratio, x_diff, *x.shape[1:], size, rate, beta)


@part
def _box_sum_row(values: np.ndarray, y: int, size: int, line: np.ndarray, out: np.ndarray) -> None:
    """out = row y of the box sums of values `(H, W)`; line has `W + size - 1` places, zeros at both ends."""
    height, width = values.shape
    half = size // 2
    inside = line[half : half + width]
    inside[:] = 0
    for h in range(max(y - half, 0), min(y + half + 1, height)):
        row = values[h]
        for w in range(width):
            inside[w] += row[w]
    out[:] = 0
    for j in range(size):
        shifted = line[j : j + width]
        for w in range(width):
            out[w] += shifted[w]


@part
def within_plane(
    plane: int,
    worker: int,
    x: np.ndarray,
    y: np.ndarray,
    scale: np.ndarray,
    size: int,
    rate: float,
    beta: float,
    shift: float,
) -> None:
    _, height, width = x.shape
    squares = np.empty((height, width), x.dtype)
    line = np.zeros(width + size - 1, x.dtype)
    sums = np.empty(width, x.dtype)
    power = np.empty(width, x.dtype)
    for h in range(height):
        row, square = x[plane, h], squares[h]
        for w in range(row.size):
            square[w] = row[w] * row[w]
    for h in range(height):
        _box_sum_row(squares, h, size, line, sums)
        for w in range(sums.size):
            sums[w] = shift + rate * sums[w]
        if scale.size:
            kept = scale[plane, h]
            for w in range(sums.size):
                kept[w] = sums[w]
        _negative_power(sums, beta, power)
        row, out = x[plane, h], y[plane, h]
        for w in range(row.size):
            out[w] = row[w] * power[w]


@operation(array=within_array)
def within(x: np.ndarray, y: np.ndarray, scale: np.ndarray, size: int, rate: float, beta: float, shift: float) -> None:
    """y and scale of x, all `(planes, H, W)`, for boxes of `size` x `size` pixels; an empty scale is omitted."""
    arguments = (x, y, scale, size, x.dtype.type(rate), beta, x.dtype.type(shift))
    spread(within_plane, len(x), num_workers(x.size), arguments)


@within.cuda
def within_cuda(kernels: Any, x: Any, y: Any, scale: Any, size: int, rate: float, beta: float, shift: float) -> None:
    kernels.within(x.size, x, y, scale, scale.size > 0, *x.shape[1:], size, rate, beta, shift)


@part
def within_plane_backward(
    plane: int,
    worker: int,
    x: np.ndarray,
    scale: np.ndarray,
    y_diff: np.ndarray,
    x_diff: np.ndarray,
    size: int,
    factor: float,
    beta: float,
) -> None:
    _, height, width = x.shape
    powers = np.empty((height, width), x.dtype)
    ratios = np.empty((height, width), x.dtype)
    line = np.zeros(width + size - 1, x.dtype)
    sums = np.empty(width, x.dtype)
    for h in range(height):
        row, diff, s = x[plane, h], y_diff[plane, h], scale[plane, h]
        power, ratio = powers[h], ratios[h]
        _negative_power(s, beta, power)
        for w in range(row.size):
            ratio[w] = diff[w] * row[w] * power[w] / s[w]
    for h in range(height):
        _box_sum_row(ratios, h, size, line, sums)
        row, diff, out = x[plane, h], y_diff[plane, h], x_diff[plane, h]
        power = powers[h]
        for w in range(row.size):
            out[w] = diff[w] * power[w] - factor * row[w] * sums[w]


@operation(array=within_backward_array)
def within_backward(
    x: np.ndarray,
    scale: np.ndarray,
    y_diff: np.ndarray,
    ratio: np.ndarray,
    x_diff: np.ndarray,
    size: int,
    rate: float,
    beta: float,
) -> None:
    """x_diff of x, scale and y_diff, all `(planes, H, W)`.

    Args:
        ratio: memory for r, of the same shape; the compiled kernel keeps r a plane at a time and leaves it alone.
    """
    arguments = (x, scale, y_diff, x_diff, size, x.dtype.type(2 * rate * beta), beta)
    spread(within_plane_backward, len(x), num_workers(x.size), arguments)


@within_backward.cuda
def within_backward_cuda(
    kernels: Any, x: Any, scale: Any, y_diff: Any, ratio: Any, x_diff: Any, size: int, rate: float, beta: float
) -> None:
    kernels.ratios(x.size, x, scale, y_diff, ratio, beta)
    kernels.within_backward(x.size, x, scale, y_diff, ratio, x_diff, *x.shape[1:], size, rate, beta)
