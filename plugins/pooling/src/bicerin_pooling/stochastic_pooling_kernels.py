"""Stochastic pooling: a pixel drawn by its share of the window's sum in training, the weighted average in a test.

Source: Zeiler and Fergus, "Stochastic pooling for regularization of deep convolutional neural networks", 2013; Caffe's
`PoolingLayer`.

Arrays are planes, of shape `(N * C, H, W)`, and pooled planes `(N * C, pooled_h, pooled_w)`, float32 or float64;
`window` is a `Window`: kernel, stride and pad, each down and across, in pixels. Units of work are planes.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from bicerin.kernels import num_workers, operation, part, spread
from bicerin_pooling.padded_planes import padded, positions


def sampled_pool_reference(
    bottom: np.ndarray, top: np.ndarray, mask: np.ndarray, draws: np.ndarray, kh: int, kw: int, sh: int, sw: int
) -> None:
    _, height, width = bottom.shape
    _, pooled_h, pooled_w = top.shape
    places = list(positions(padded(bottom, top, 0, kh, kw, sh, sw, 0, 0), top, kh, kw, sh, sw))
    values = np.stack([pixels for _, _, pixels in places], axis=-1)
    sums = np.cumsum(values, axis=-1, dtype=bottom.dtype)
    reached = sums >= (draws * sums[..., -1])[..., None]
    choice = np.argmax(reached, axis=-1)
    rows = np.arange(pooled_h)[:, None] * sh + choice // kw
    columns = np.arange(pooled_w) * sw + choice % kw
    found = np.take_along_axis(reached, choice[..., None], -1)[..., 0] & (rows < height) & (columns < width)
    mask[...] = np.where(found, rows * width + columns, -1)
    top[...] = np.where(found, np.take_along_axis(values, choice[..., None], -1)[..., 0], 0)


def weighted_pool_reference(
    bottom: np.ndarray, top: np.ndarray, sums: np.ndarray, kh: int, kw: int, sh: int, sw: int
) -> None:
    top.fill(0)
    sums.fill(0)
    for _, _, values in positions(padded(bottom, top, 0, kh, kw, sh, sw, 0, 0), top, kh, kw, sh, sw):
        sums += values
        top += values * values
    positive = sums > 0
    np.divide(top, sums, out=top, where=positive)
    top[~positive] = 0


def weighted_pool_backward_reference(
    bottom: np.ndarray,
    bottom_diff: np.ndarray,
    top: np.ndarray,
    top_diff: np.ndarray,
    sums: np.ndarray,
    kh: int,
    kw: int,
    sh: int,
    sw: int,
) -> None:
    _, height, width = bottom.shape
    share = np.divide(top_diff, sums, out=np.zeros_like(top_diff), where=sums > 0)
    around = padded(np.zeros_like(bottom), top, 0, kh, kw, sh, sw, 0, 0)
    values = padded(bottom, top, 0, kh, kw, sh, sw, 0, 0)
    for (_, _, diff), (_, _, pixels) in zip(
        positions(around, top, kh, kw, sh, sw), positions(values, top, kh, kw, sh, sw), strict=True
    ):
        diff += share * (2 * pixels - top)
    bottom_diff[...] = around[:, :height, :width]


@part
def sampled_pool_plane(
    plane: int,
    worker: int,
    bottom: np.ndarray,
    top: np.ndarray,
    mask: np.ndarray,
    draws: np.ndarray,
    window: tuple[int, ...],
) -> None:
    kh, kw, sh, sw = window
    _, height, width = bottom.shape
    _, pooled_h, pooled_w = top.shape
    for y in range(pooled_h):
        for x in range(pooled_w):
            bottom_edge, right_edge = min(y * sh + kh, height), min(x * sw + kw, width)
            total = bottom.dtype.type(0)
            for h in range(y * sh, bottom_edge):
                for w in range(x * sw, right_edge):
                    total += bottom[plane, h, w]
            threshold = draws[plane, y, x] * total
            total = bottom.dtype.type(0)
            place = -1
            value = bottom.dtype.type(0)
            for h in range(y * sh, bottom_edge):
                for w in range(x * sw, right_edge):
                    total += bottom[plane, h, w]
                    if place < 0 and total >= threshold:
                        place = h * width + w
                        value = bottom[plane, h, w]
            mask[plane, y, x] = place
            top[plane, y, x] = value


@operation(reference=sampled_pool_reference)
def sampled_pool(bottom: np.ndarray, top: np.ndarray, mask: np.ndarray, draws: np.ndarray, *window: int) -> None:
    """top = the first pixel where the running sum reaches `draws`, in (0, 1], of the window's sum; mask = its place."""
    spread(sampled_pool_plane, len(bottom), num_workers(bottom.size), (bottom, top, mask, draws, window))


@sampled_pool.cuda
def sampled_pool_cuda(kernels: Any, bottom: Any, top: Any, mask: Any, draws: Any, *window: int) -> None:
    kernels.sampled_pool(top.size, bottom, top, mask, draws, *bottom.shape[1:], *top.shape[1:], *window)


@part
def weighted_pool_plane(
    plane: int, worker: int, bottom: np.ndarray, top: np.ndarray, sums: np.ndarray, window: tuple[int, ...]
) -> None:
    kh, kw, sh, sw = window
    _, height, width = bottom.shape
    _, pooled_h, pooled_w = top.shape
    for y in range(pooled_h):
        for x in range(pooled_w):
            total = bottom.dtype.type(0)
            squares = bottom.dtype.type(0)
            for h in range(y * sh, min(y * sh + kh, height)):
                for w in range(x * sw, min(x * sw + kw, width)):
                    value = bottom[plane, h, w]
                    total += value
                    squares += value * value
            sums[plane, y, x] = total
            top[plane, y, x] = squares / total if total > 0 else 0


@operation(reference=weighted_pool_reference)
def weighted_pool(bottom: np.ndarray, top: np.ndarray, sums: np.ndarray, *window: int) -> None:
    """top = sum of squares / sum of each window, or 0 where the sum is not positive; sums = those sums."""
    spread(weighted_pool_plane, len(bottom), num_workers(bottom.size), (bottom, top, sums, window))


@weighted_pool.cuda
def weighted_pool_cuda(kernels: Any, bottom: Any, top: Any, sums: Any, *window: int) -> None:
    kernels.weighted_pool(top.size, bottom, top, sums, *bottom.shape[1:], *top.shape[1:], *window)


@part
def weighted_pool_plane_backward(
    plane: int,
    worker: int,
    bottom: np.ndarray,
    bottom_diff: np.ndarray,
    top: np.ndarray,
    top_diff: np.ndarray,
    sums: np.ndarray,
    window: tuple[int, ...],
) -> None:
    kh, kw, sh, sw = window
    _, height, width = bottom.shape
    _, pooled_h, pooled_w = top.shape
    bottom_diff[plane] = 0
    for y in range(pooled_h):
        for x in range(pooled_w):
            if sums[plane, y, x] > 0:
                share = top_diff[plane, y, x] / sums[plane, y, x]
                for h in range(y * sh, min(y * sh + kh, height)):
                    for w in range(x * sw, min(x * sw + kw, width)):
                        bottom_diff[plane, h, w] += share * (2 * bottom[plane, h, w] - top[plane, y, x])


@operation(reference=weighted_pool_backward_reference)
def weighted_pool_backward(
    bottom: np.ndarray, bottom_diff: np.ndarray, top: np.ndarray, top_diff: np.ndarray, sums: np.ndarray, *window: int
) -> None:
    """bottom_diff = top_diff * (2 x - top) / sum, summed over the windows with a positive sum."""
    spread(
        weighted_pool_plane_backward,
        len(bottom),
        num_workers(bottom.size),
        (bottom, bottom_diff, top, top_diff, sums, window),
    )


@weighted_pool_backward.cuda
def weighted_pool_backward_cuda(
    kernels: Any, bottom: Any, bottom_diff: Any, top: Any, top_diff: Any, sums: Any, *window: int
) -> None:
    sizes = (*bottom.shape[1:], *top.shape[1:], *window)
    kernels.weighted_pool_backward(bottom.size, bottom, top, top_diff, sums, bottom_diff, *sizes)
