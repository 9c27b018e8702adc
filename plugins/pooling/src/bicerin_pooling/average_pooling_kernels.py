"""Average pooling, forward and backward: sums of windows over their areas, padding within H + 2 pad included.

Sums are separable, as the maxima are. Source: Caffe's `PoolingLayer`.

Arrays are planes, of shape `(N * C, H, W)`, and pooled planes `(N * C, pooled_h, pooled_w)`, float32 or float64;
`window` is a `Window`: kernel, stride and pad, each down and across, in pixels. Units of work are planes.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from bicerin.kernels import num_workers, operation, part, spread
from bicerin_pooling.padded_planes import padded, positions


def extents(pooled: int, size: int, kernel: int, stride: int, pad: int) -> np.ndarray:
    """The length of each window along one axis: as far as the padding reaches, as Caffe divides an average."""
    start = np.arange(pooled) * stride - pad
    return np.minimum(start + kernel, size + pad) - start


def average_pool_reference(
    bottom: np.ndarray, top: np.ndarray, kh: int, kw: int, sh: int, sw: int, ph: int, pw: int
) -> None:
    top.fill(0)
    for _, _, values in positions(padded(bottom, top, 0, kh, kw, sh, sw, ph, pw), top, kh, kw, sh, sw):
        top += values
    with np.errstate(divide="ignore", invalid="ignore"):
        top /= _areas(bottom, top, kh, kw, sh, sw, ph, pw)


def average_pool_backward_reference(
    bottom_diff: np.ndarray, top_diff: np.ndarray, kh: int, kw: int, sh: int, sw: int, ph: int, pw: int
) -> None:
    _, height, width = bottom_diff.shape
    bottom_diff.fill(0)
    around = padded(bottom_diff, top_diff, 0, kh, kw, sh, sw, ph, pw)
    with np.errstate(divide="ignore", invalid="ignore"):
        share = top_diff / _areas(bottom_diff, top_diff, kh, kw, sh, sw, ph, pw)
    for _, _, values in positions(around, top_diff, kh, kw, sh, sw):
        values += share
    bottom_diff[...] = around[:, ph : ph + height, pw : pw + width]


def _areas(bottom: np.ndarray, top: np.ndarray, kh: int, kw: int, sh: int, sw: int, ph: int, pw: int) -> np.ndarray:
    down = extents(top.shape[1], bottom.shape[1], kh, sh, ph)
    across = extents(top.shape[2], bottom.shape[2], kw, sw, pw)
    return np.outer(down, across).astype(bottom.dtype)


@part
def average_pool_plane(plane: int, worker: int, bottom: np.ndarray, top: np.ndarray, window: tuple[int, ...]) -> None:
    kh, kw, sh, sw, ph, pw = window
    _, height, width = bottom.shape
    _, pooled_h, pooled_w = top.shape
    span = max((pooled_w - 1) * sw + kw, pw + width)
    line = np.zeros(span, bottom.dtype)
    inside = line[pw : pw + width]
    for y in range(pooled_h):
        start = y * sh - ph
        extent_h = min(start + kh, height + ph) - start
        inside[:] = 0
        for h in range(max(start, 0), min(start + kh, height)):
            row = bottom[plane, h]
            for w in range(width):
                inside[w] += row[w]
        out = top[plane, y]
        out[:] = 0
        for j in range(kw):
            shifted = line[j:]
            if sw == 1:
                for x in range(pooled_w):
                    out[x] += shifted[x]
            elif sw == 2:
                for x in range(pooled_w):
                    out[x] += shifted[2 * x]
            else:
                for x in range(pooled_w):
                    out[x] += shifted[sw * x]
        for x in range(pooled_w):
            left = x * sw - pw
            out[x] /= bottom.dtype.type(extent_h * (min(left + kw, width + pw) - left))


@operation(reference=average_pool_reference)
def average_pool(bottom: np.ndarray, top: np.ndarray, *window: int) -> None:
    """top = the sum of each window over its area, padding within H + 2 * pad included."""
    spread(average_pool_plane, len(bottom), num_workers(bottom.size), (bottom, top, window))


@average_pool.cuda
def average_pool_cuda(kernels: Any, bottom: Any, top: Any, *window: int) -> None:
    kernels.average_pool(top.size, bottom, top, *bottom.shape[1:], *top.shape[1:], *window)


@part
def average_pool_plane_backward(
    plane: int, worker: int, bottom_diff: np.ndarray, top_diff: np.ndarray, window: tuple[int, ...]
) -> None:
    kh, kw, sh, sw, ph, pw = window
    _, height, width = bottom_diff.shape
    _, pooled_h, pooled_w = top_diff.shape
    span = max((pooled_w - 1) * sw + kw, pw + width)
    line = np.empty(span, bottom_diff.dtype)
    share = np.empty(pooled_w, bottom_diff.dtype)
    inside = line[pw : pw + width]
    bottom_diff[plane] = 0
    for y in range(pooled_h):
        start = y * sh - ph
        extent_h = min(start + kh, height + ph) - start
        for x in range(pooled_w):
            left = x * sw - pw
            share[x] = top_diff[plane, y, x] / bottom_diff.dtype.type(extent_h * (min(left + kw, width + pw) - left))
        line[:] = 0
        for j in range(kw):
            shifted = line[j:]
            if sw == 1:
                for x in range(pooled_w):
                    shifted[x] += share[x]
            else:
                for x in range(pooled_w):
                    shifted[sw * x] += share[x]
        for h in range(max(start, 0), min(start + kh, height)):
            row = bottom_diff[plane, h]
            for w in range(width):
                row[w] += inside[w]


@operation(reference=average_pool_backward_reference)
def average_pool_backward(bottom_diff: np.ndarray, top_diff: np.ndarray, *window: int) -> None:
    """bottom_diff = each window's top_diff, in equal shares, summed."""
    spread(
        average_pool_plane_backward,
        len(top_diff),
        num_workers(bottom_diff.size),
        (bottom_diff, top_diff, window),
    )


@average_pool_backward.cuda
def average_pool_backward_cuda(kernels: Any, bottom_diff: Any, top_diff: Any, *window: int) -> None:
    sizes = (*bottom_diff.shape[1:], *top_diff.shape[1:], *window)
    kernels.average_pool_backward(bottom_diff.size, top_diff, bottom_diff, *sizes)
