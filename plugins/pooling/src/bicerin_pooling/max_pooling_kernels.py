"""Max pooling, forward and backward, with the place of each maximum.

A maximum starts from the least float32, and only what is greater replaces it, so that among equal values the first in
row-major order wins and NaN never does. `mask`, int32 in the shape of the pooled planes, holds the place of each
window's choice in its plane, `h * W + w`, or -1 where a window found nothing to choose. A row of windows is first
reduced down its rows into one padded line, which is then reduced across, so that both inner loops are over contiguous
pixels. Source: Caffe's `PoolingLayer`.

Arrays are planes, of shape `(N * C, H, W)`, and pooled planes `(N * C, pooled_h, pooled_w)`, float32 or float64;
`window` is a `Window`: kernel, stride and pad, each down and across, in pixels. Units of work are planes.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from bicerin.kernels import host_operation, kernel, num_workers, operation, part, spread
from bicerin_pooling.padded_planes import padded, positions

#: Planes that share buffers in `flat_max_pool`.
PLANES = 16
#: Where Caffe starts a maximum, for float64 planes too.
LOWEST = float(np.finfo(np.float32).min)


def max_pool_reference(
    bottom: np.ndarray, top: np.ndarray, kh: int, kw: int, sh: int, sw: int, ph: int, pw: int
) -> None:
    top.fill(LOWEST)
    for _, _, values in positions(padded(bottom, top, LOWEST, kh, kw, sh, sw, ph, pw), top, kh, kw, sh, sw):
        np.copyto(top, values, where=values > top)


def masked_max_pool_reference(
    bottom: np.ndarray, top: np.ndarray, mask: np.ndarray, kh: int, kw: int, sh: int, sw: int, ph: int, pw: int
) -> None:
    _, pooled_h, pooled_w = top.shape
    top.fill(LOWEST)
    mask.fill(-1)
    first = (np.arange(pooled_h)[:, None] * sh - ph) * bottom.shape[2] + np.arange(pooled_w) * sw - pw
    for i, j, values in positions(padded(bottom, top, LOWEST, kh, kw, sh, sw, ph, pw), top, kh, kw, sh, sw):
        greater = values > top
        np.copyto(top, values, where=greater)
        np.copyto(mask, first + (i * bottom.shape[2] + j), where=greater, casting="same_kind")


def scatter_reference(bottom_diff: np.ndarray, top_diff: np.ndarray, mask: np.ndarray, *window: int) -> None:
    bottom_diff.fill(0)
    planes, size = len(mask), bottom_diff[0].size if len(bottom_diff) else 0
    chosen = mask >= 0
    places = mask + (np.arange(planes, dtype=np.int64) * size)[:, None, None]
    np.add.at(bottom_diff.reshape(-1), places[chosen], top_diff[chosen])


@part
def max_pool_rows(plane: int, worker: int, bottom: np.ndarray, top: np.ndarray, window: tuple[int, ...]) -> None:
    kh, kw, sh, sw, ph, pw = window
    _, height, width = bottom.shape
    _, pooled_h, pooled_w = top.shape
    span = max((pooled_w - 1) * sw + kw, pw + width)
    lowest = bottom.dtype.type(LOWEST)
    line = np.full(span, lowest, bottom.dtype)
    inside = line[pw : pw + width]
    for y in range(pooled_h):
        start = max(y * sh - ph, 0)
        stop = min(y * sh - ph + kh, height)
        inside[:] = lowest
        for h in range(start, stop):
            row = bottom[plane, h]
            for w in range(width):
                inside[w] = row[w] if row[w] > inside[w] else inside[w]
        out = top[plane, y]
        out[:] = lowest
        for j in range(kw):
            shifted = line[j:]
            if sw == 1:
                for x in range(pooled_w):
                    out[x] = shifted[x] if shifted[x] > out[x] else out[x]
            elif sw == 2:
                for x in range(pooled_w):
                    out[x] = shifted[2 * x] if shifted[2 * x] > out[x] else out[x]
            else:
                for x in range(pooled_w):
                    out[x] = shifted[sw * x] if shifted[sw * x] > out[x] else out[x]


@kernel(reference=max_pool_reference)
def row_max_pool(bottom: np.ndarray, top: np.ndarray, *window: int) -> None:
    """top = the maximum of each window, a row of windows at a time."""
    spread(max_pool_rows, len(bottom), num_workers(bottom.size), (bottom, top, window))


@part
def masked_max_pool_rows(
    plane: int, worker: int, bottom: np.ndarray, top: np.ndarray, mask: np.ndarray, window: tuple[int, ...]
) -> None:
    kh, kw, sh, sw, ph, pw = window
    _, height, width = bottom.shape
    _, pooled_h, pooled_w = top.shape
    span = max((pooled_w - 1) * sw + kw, pw + width)
    lowest = bottom.dtype.type(LOWEST)
    line = np.full(span, lowest, bottom.dtype)
    places = np.full(span, -1, np.int32)
    inside = line[pw : pw + width]
    inside_places = places[pw : pw + width]
    for y in range(pooled_h):
        inside[:] = lowest
        inside_places[:] = -1
        for h in range(max(y * sh - ph, 0), min(y * sh - ph + kh, height)):
            row = bottom[plane, h]
            first = np.int32(h * width)
            for w in range(width):
                greater = row[w] > inside[w]
                inside[w] = row[w] if greater else inside[w]
                inside_places[w] = first + np.int32(w) if greater else inside_places[w]
        out = top[plane, y]
        out_places = mask[plane, y]
        out[:] = lowest
        out_places[:] = -1
        # Of equal values in two columns, the upper one comes first.
        for j in range(kw):
            shifted = line[j:]
            shifted_places = places[j:]
            if sw == 1:
                for x in range(pooled_w):
                    value, place = shifted[x], shifted_places[x]
                    better = (value > out[x]) | ((value == out[x]) & (place < out_places[x]))
                    out[x] = value if better else out[x]
                    out_places[x] = place if better else out_places[x]
            elif sw == 2:
                for x in range(pooled_w):
                    value, place = shifted[2 * x], shifted_places[2 * x]
                    better = (value > out[x]) | ((value == out[x]) & (place < out_places[x]))
                    out[x] = value if better else out[x]
                    out_places[x] = place if better else out_places[x]
            else:
                for x in range(pooled_w):
                    value, place = shifted[sw * x], shifted_places[sw * x]
                    better = (value > out[x]) | ((value == out[x]) & (place < out_places[x]))
                    out[x] = value if better else out[x]
                    out_places[x] = place if better else out_places[x]


@kernel(reference=masked_max_pool_reference)
def masked_row_max_pool(bottom: np.ndarray, top: np.ndarray, mask: np.ndarray, *window: int) -> None:
    """`row_max_pool` with mask = the place of each maximum."""
    spread(masked_max_pool_rows, len(bottom), num_workers(bottom.size), (bottom, top, mask, window))


@part
def max_pool_windows(
    plane: int, worker: int, bottom: np.ndarray, top: np.ndarray, mask: np.ndarray, window: tuple[int, ...]
) -> None:
    kh, kw, sh, sw, ph, pw = window
    _, height, width = bottom.shape
    _, pooled_h, pooled_w = top.shape
    for y in range(pooled_h):
        for x in range(pooled_w):
            best = bottom.dtype.type(LOWEST)
            place = -1
            for h in range(max(y * sh - ph, 0), min(y * sh - ph + kh, height)):
                for w in range(max(x * sw - pw, 0), min(x * sw - pw + kw, width)):
                    if bottom[plane, h, w] > best:
                        best = bottom[plane, h, w]
                        place = h * width + w
            top[plane, y, x] = best
            mask[plane, y, x] = place


@kernel(reference=masked_max_pool_reference)
def window_max_pool(bottom: np.ndarray, top: np.ndarray, mask: np.ndarray, *window: int) -> None:
    """`masked_row_max_pool`, faster where rows are too short to fill the processor's vectors, or windows far apart."""
    spread(
        max_pool_windows,
        len(bottom),
        num_workers(bottom.size),
        (bottom, top, mask, window),
    )


@part
def max_pool_planes(
    unit: int, worker: int, bottom: np.ndarray, top: np.ndarray, mask: np.ndarray, window: tuple[int, ...]
) -> None:
    """PLANES planes. Each is laid out with its padding, so that no row has an edge to look out for.

    At a stride of 1 a shift of the whole plane meets all windows at once. Across, every place is computed, and at a
    stride some are left out.
    """
    kh, kw, sh, sw, ph, pw = window
    planes, height, width = bottom.shape
    _, pooled_h, pooled_w = top.shape
    line = max((pooled_w - 1) * sw + kw, pw + width)
    size = pooled_h * line
    runs, run = (1, size) if sh == 1 else (pooled_h, line)
    lowest = bottom.dtype.type(LOWEST)
    around = np.full(max((pooled_h - 1) * sh + kh, ph + height) * line + kw, lowest, bottom.dtype)
    place = np.full(around.size, -1, np.int32)
    for h in range(height):
        for w in range(width):
            place[(ph + h) * line + pw + w] = h * width + w
    down, down_place = np.full(size + kw, lowest, bottom.dtype), np.full(size + kw, -1, np.int32)
    best, best_place = np.empty(size, bottom.dtype), np.empty(size, np.int32)
    for plane in range(unit * PLANES, min((unit + 1) * PLANES, planes)):
        for h in range(height):
            row = around[(ph + h) * line + pw :]
            for w in range(width):
                row[w] = bottom[plane, h, w]
        for y in range(runs):
            target, target_place = down[y * run :], down_place[y * run :]
            for i in range(kh):
                start = (y * sh + i) * line
                values, places = around[start:], place[start:]
                for at in range(run):
                    before = lowest if i == 0 else target[at]
                    greater = values[at] > before
                    target[at] = values[at] if greater else before
                    if mask.size:
                        target_place[at] = places[at] if greater else (-1 if i == 0 else target_place[at])
        for j in range(kw):
            values, places = down[j:], down_place[j:]
            for at in range(size):
                before = lowest if j == 0 else best[at]
                if mask.size:
                    # Of equal values in two columns, the upper one comes first.
                    before_place = np.int32(-1) if j == 0 else best_place[at]
                    better = (values[at] > before) | ((values[at] == before) & (places[at] < before_place))
                    best_place[at] = places[at] if better else before_place
                    best[at] = values[at] if better else before
                else:
                    best[at] = values[at] if values[at] > before else before
        for y in range(pooled_h):
            row, places = best[y * line :], best_place[y * line :]
            if sw == 1:
                for x in range(pooled_w):
                    top[plane, y, x] = row[x]
                if mask.size:
                    for x in range(pooled_w):
                        mask[plane, y, x] = places[x]
            else:
                for x in range(pooled_w):
                    top[plane, y, x] = row[x * sw]
                if mask.size:
                    for x in range(pooled_w):
                        mask[plane, y, x] = places[x * sw]


def flat_max_pool_reference(bottom: np.ndarray, top: np.ndarray, mask: np.ndarray, *window: int) -> None:
    if mask.size:
        masked_max_pool_reference(bottom, top, mask, *window)
    else:
        max_pool_reference(bottom, top, *window)


@kernel(reference=flat_max_pool_reference)
def flat_max_pool(bottom: np.ndarray, top: np.ndarray, mask: np.ndarray, *window: int) -> None:
    """`masked_row_max_pool`, or with an empty mask `row_max_pool`: faster at a stride of 1, and for short rows."""
    spread(max_pool_planes, -(-len(bottom) // PLANES), num_workers(bottom.size), (bottom, top, mask, window))


@host_operation(compiled=True)
def max_pool(bottom: np.ndarray, top: np.ndarray, mask: np.ndarray, *window: int) -> None:
    """top = the maximum of each window, mask = its place; an empty mask is not wanted. With the fastest kernel."""
    pooled_w, stride_h, stride_w = top.shape[2], window[2], window[3]
    is_dense = stride_h == stride_w == 1 < pooled_w
    # Measured: vectors of whole rows pay from about 16 windows per row on, of whole planes for shorter rows.
    if is_dense or (mask.size and stride_w == 2 and 4 < pooled_w < 16):
        flat_max_pool(bottom, top, mask, *window)
    elif not mask.size:
        row_max_pool(bottom, top, *window)
    elif pooled_w >= 16 and stride_w <= 2:
        masked_row_max_pool(bottom, top, mask, *window)
    else:
        window_max_pool(bottom, top, mask, *window)


@max_pool.cuda
def max_pool_cuda(kernels: Any, bottom: Any, top: Any, mask: Any, *window: int) -> None:
    kernels.max_pool(top.size, bottom, top, mask, mask.size > 0, *bottom.shape[1:], *top.shape[1:], *window)


@part
def scatter_plane(plane: int, worker: int, bottom_diff: np.ndarray, top_diff: np.ndarray, mask: np.ndarray) -> None:
    _, pooled_h, pooled_w = top_diff.shape
    bottom_diff[plane] = 0
    diff = bottom_diff[plane].reshape(-1)
    for y in range(pooled_h):
        for x in range(pooled_w):
            place = mask[plane, y, x]
            if place >= 0:
                diff[place] += top_diff[plane, y, x]


@operation(reference=scatter_reference)
def scatter(bottom_diff: np.ndarray, top_diff: np.ndarray, mask: np.ndarray, *window: int) -> None:
    """bottom_diff = the sum of the top_diff of the windows that chose a pixel; a device looks in `window` for them."""
    spread(scatter_plane, len(top_diff), num_workers(bottom_diff.size), (bottom_diff, top_diff, mask))


@scatter.cuda
def scatter_cuda(kernels: Any, bottom_diff: Any, top_diff: Any, mask: Any, *window: int) -> None:
    sizes = (*bottom_diff.shape[1:], *top_diff.shape[1:], *window)
    kernels.scatter(bottom_diff.size, top_diff, mask, bottom_diff, *sizes)
