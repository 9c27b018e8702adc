"""Pooling of planes, forward and backward.

All functions take planes, arrays of shape `(N * C, H, W)`, pooled ones of shape `(N * C, pooled_h, pooled_w)`, and the
numbers of a `Window`. The compiled ones run over planes in parallel. Maxima and sums are separable: a row of windows is
first reduced down its rows into one padded line, which is then reduced across, so that both inner loops are over
contiguous pixels and neither has an edge to look out for.

A maximum starts from the least float32, and only what is greater replaces it, so that among equal values the first in
row-major order wins and NaN never does. `mask` holds the place of each window's choice in its plane, `h * W + w`, or -1
where a window found nothing to choose.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from bicerin.kernels import kernel, num_workers, part, spread

#: Planes that share buffers in `flat_max_pool`.
PLANES = 16
#: Where Caffe starts a maximum, for float64 planes too.
LOWEST = float(np.finfo(np.float32).min)


def _padded(
    bottom: np.ndarray, top: np.ndarray, fill: float, kh: int, kw: int, sh: int, sw: int, ph: int, pw: int
) -> np.ndarray:
    """The planes with `fill` around them, as far as any window reaches."""
    planes, height, width = bottom.shape
    span_h = max((top.shape[1] - 1) * sh + kh, ph + height)
    span_w = max((top.shape[2] - 1) * sw + kw, pw + width)
    padded = np.full((planes, span_h, span_w), fill, bottom.dtype)
    padded[:, ph : ph + height, pw : pw + width] = bottom
    return padded


def _positions(
    padded: np.ndarray, top: np.ndarray, kh: int, kw: int, sh: int, sw: int
) -> Iterator[tuple[int, int, np.ndarray]]:
    """For each place in the window, in row-major order, the pixels that all windows have there, in the shape of top."""
    _, pooled_h, pooled_w = top.shape
    for i in range(kh):
        for j in range(kw):
            yield i, j, padded[:, i : i + (pooled_h - 1) * sh + 1 : sh, j : j + (pooled_w - 1) * sw + 1 : sw]


def extents(pooled: int, size: int, kernel: int, stride: int, pad: int) -> np.ndarray:
    """The length of each window along one axis: as far as the padding reaches, as Caffe divides an average."""
    start = np.arange(pooled) * stride - pad
    return np.minimum(start + kernel, size + pad) - start


def max_pool_reference(
    bottom: np.ndarray, top: np.ndarray, kh: int, kw: int, sh: int, sw: int, ph: int, pw: int
) -> None:
    top.fill(LOWEST)
    for _, _, values in _positions(_padded(bottom, top, LOWEST, kh, kw, sh, sw, ph, pw), top, kh, kw, sh, sw):
        np.copyto(top, values, where=values > top)


def masked_max_pool_reference(
    bottom: np.ndarray, top: np.ndarray, mask: np.ndarray, kh: int, kw: int, sh: int, sw: int, ph: int, pw: int
) -> None:
    _, pooled_h, pooled_w = top.shape
    top.fill(LOWEST)
    mask.fill(-1)
    first = (np.arange(pooled_h)[:, None] * sh - ph) * bottom.shape[2] + np.arange(pooled_w) * sw - pw
    for i, j, values in _positions(_padded(bottom, top, LOWEST, kh, kw, sh, sw, ph, pw), top, kh, kw, sh, sw):
        greater = values > top
        np.copyto(top, values, where=greater)
        np.copyto(mask, first + (i * bottom.shape[2] + j), where=greater, casting="same_kind")


def scatter_reference(bottom_diff: np.ndarray, top_diff: np.ndarray, mask: np.ndarray) -> None:
    bottom_diff.fill(0)
    planes, size = len(mask), bottom_diff[0].size if len(bottom_diff) else 0
    chosen = mask >= 0
    places = mask + (np.arange(planes, dtype=np.int64) * size)[:, None, None]
    np.add.at(bottom_diff.reshape(-1), places[chosen], top_diff[chosen])


def average_pool_reference(
    bottom: np.ndarray, top: np.ndarray, kh: int, kw: int, sh: int, sw: int, ph: int, pw: int
) -> None:
    top.fill(0)
    for _, _, values in _positions(_padded(bottom, top, 0, kh, kw, sh, sw, ph, pw), top, kh, kw, sh, sw):
        top += values
    with np.errstate(divide="ignore", invalid="ignore"):
        top /= _areas(bottom, top, kh, kw, sh, sw, ph, pw)


def average_pool_backward_reference(
    bottom_diff: np.ndarray, top_diff: np.ndarray, kh: int, kw: int, sh: int, sw: int, ph: int, pw: int
) -> None:
    _, height, width = bottom_diff.shape
    bottom_diff.fill(0)
    padded = _padded(bottom_diff, top_diff, 0, kh, kw, sh, sw, ph, pw)
    with np.errstate(divide="ignore", invalid="ignore"):
        share = top_diff / _areas(bottom_diff, top_diff, kh, kw, sh, sw, ph, pw)
    for _, _, values in _positions(padded, top_diff, kh, kw, sh, sw):
        values += share
    bottom_diff[...] = padded[:, ph : ph + height, pw : pw + width]


def _areas(bottom: np.ndarray, top: np.ndarray, kh: int, kw: int, sh: int, sw: int, ph: int, pw: int) -> np.ndarray:
    down = extents(top.shape[1], bottom.shape[1], kh, sh, ph)
    across = extents(top.shape[2], bottom.shape[2], kw, sw, pw)
    return np.outer(down, across).astype(bottom.dtype)


def sampled_pool_reference(
    bottom: np.ndarray, top: np.ndarray, mask: np.ndarray, draws: np.ndarray, kh: int, kw: int, sh: int, sw: int
) -> None:
    _, height, width = bottom.shape
    _, pooled_h, pooled_w = top.shape
    places = list(_positions(_padded(bottom, top, 0, kh, kw, sh, sw, 0, 0), top, kh, kw, sh, sw))
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
    for _, _, values in _positions(_padded(bottom, top, 0, kh, kw, sh, sw, 0, 0), top, kh, kw, sh, sw):
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
    padded = _padded(np.zeros_like(bottom), top, 0, kh, kw, sh, sw, 0, 0)
    values = _padded(bottom, top, 0, kh, kw, sh, sw, 0, 0)
    for (_, _, diff), (_, _, pixels) in zip(
        _positions(padded, top, kh, kw, sh, sw), _positions(values, top, kh, kw, sh, sw), strict=True
    ):
        diff += share * (2 * pixels - top)
    bottom_diff[...] = padded[:, :height, :width]


@part
def max_pool_plane(
    plane: int, worker: int, bottom: np.ndarray, top: np.ndarray, kh: int, kw: int, sh: int, sw: int, ph: int, pw: int
) -> None:
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
def max_pool(bottom: np.ndarray, top: np.ndarray, kh: int, kw: int, sh: int, sw: int, ph: int, pw: int) -> None:
    """top = the maximum of each window."""
    spread(max_pool_plane, len(bottom), num_workers(bottom.size), (bottom, top, kh, kw, sh, sw, ph, pw))


@part
def masked_max_pool_plane(
    plane: int,
    worker: int,
    bottom: np.ndarray,
    top: np.ndarray,
    mask: np.ndarray,
    kh: int,
    kw: int,
    sh: int,
    sw: int,
    ph: int,
    pw: int,
) -> None:
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
def masked_max_pool(
    bottom: np.ndarray, top: np.ndarray, mask: np.ndarray, kh: int, kw: int, sh: int, sw: int, ph: int, pw: int
) -> None:
    """top = the maximum of each window, mask = its place."""
    spread(masked_max_pool_plane, len(bottom), num_workers(bottom.size), (bottom, top, mask, kh, kw, sh, sw, ph, pw))


@part
def masked_max_pool_plane_one_by_one(
    plane: int,
    worker: int,
    bottom: np.ndarray,
    top: np.ndarray,
    mask: np.ndarray,
    kh: int,
    kw: int,
    sh: int,
    sw: int,
    ph: int,
    pw: int,
) -> None:
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
def masked_max_pool_one_by_one(
    bottom: np.ndarray, top: np.ndarray, mask: np.ndarray, kh: int, kw: int, sh: int, sw: int, ph: int, pw: int
) -> None:
    """`masked_max_pool`, faster where rows are too short to fill the processor's vectors, or windows far apart."""
    spread(
        masked_max_pool_plane_one_by_one,
        len(bottom),
        num_workers(bottom.size),
        (bottom, top, mask, kh, kw, sh, sw, ph, pw),
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
    padded = np.full(max((pooled_h - 1) * sh + kh, ph + height) * line + kw, lowest, bottom.dtype)
    place = np.full(padded.size, -1, np.int32)
    for h in range(height):
        for w in range(width):
            place[(ph + h) * line + pw + w] = h * width + w
    down, down_place = np.full(size + kw, lowest, bottom.dtype), np.full(size + kw, -1, np.int32)
    best, best_place = np.empty(size, bottom.dtype), np.empty(size, np.int32)
    for plane in range(unit * PLANES, min((unit + 1) * PLANES, planes)):
        for h in range(height):
            row = padded[(ph + h) * line + pw :]
            for w in range(width):
                row[w] = bottom[plane, h, w]
        for y in range(runs):
            target, target_place = down[y * run :], down_place[y * run :]
            for i in range(kh):
                start = (y * sh + i) * line
                values, places = padded[start:], place[start:]
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


def flat_max_pool_reference(bottom: np.ndarray, top: np.ndarray, mask: np.ndarray, window: tuple[int, ...]) -> None:
    if mask.size:
        masked_max_pool_reference(bottom, top, mask, *window)
    else:
        max_pool_reference(bottom, top, *window)


@kernel(reference=flat_max_pool_reference)
def flat_max_pool(bottom: np.ndarray, top: np.ndarray, mask: np.ndarray, window: tuple[int, ...]) -> None:
    """`masked_max_pool`, or with an empty mask `max_pool`: faster at a stride of 1, and where rows are short."""
    spread(max_pool_planes, -(-len(bottom) // PLANES), num_workers(bottom.size), (bottom, top, mask, window))


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


@kernel(reference=scatter_reference)
def scatter(bottom_diff: np.ndarray, top_diff: np.ndarray, mask: np.ndarray) -> None:
    """bottom_diff = the sum of the top_diff of the windows that chose a pixel."""
    spread(scatter_plane, len(top_diff), num_workers(bottom_diff.size), (bottom_diff, top_diff, mask))


@part
def average_pool_plane(
    plane: int, worker: int, bottom: np.ndarray, top: np.ndarray, kh: int, kw: int, sh: int, sw: int, ph: int, pw: int
) -> None:
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


@kernel(reference=average_pool_reference)
def average_pool(bottom: np.ndarray, top: np.ndarray, kh: int, kw: int, sh: int, sw: int, ph: int, pw: int) -> None:
    """top = the sum of each window over its area, padding within H + 2 * pad included."""
    spread(average_pool_plane, len(bottom), num_workers(bottom.size), (bottom, top, kh, kw, sh, sw, ph, pw))


@part
def average_pool_plane_backward(
    plane: int,
    worker: int,
    bottom_diff: np.ndarray,
    top_diff: np.ndarray,
    kh: int,
    kw: int,
    sh: int,
    sw: int,
    ph: int,
    pw: int,
) -> None:
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


@kernel(reference=average_pool_backward_reference)
def average_pool_backward(
    bottom_diff: np.ndarray, top_diff: np.ndarray, kh: int, kw: int, sh: int, sw: int, ph: int, pw: int
) -> None:
    """bottom_diff = each window's top_diff, in equal shares, summed."""
    spread(
        average_pool_plane_backward,
        len(top_diff),
        num_workers(bottom_diff.size),
        (bottom_diff, top_diff, kh, kw, sh, sw, ph, pw),
    )


@part
def sampled_pool_plane(
    plane: int,
    worker: int,
    bottom: np.ndarray,
    top: np.ndarray,
    mask: np.ndarray,
    draws: np.ndarray,
    kh: int,
    kw: int,
    sh: int,
    sw: int,
) -> None:
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


@kernel(reference=sampled_pool_reference)
def sampled_pool(
    bottom: np.ndarray, top: np.ndarray, mask: np.ndarray, draws: np.ndarray, kh: int, kw: int, sh: int, sw: int
) -> None:
    """top = the first pixel where the running sum reaches `draws`, in (0, 1], of the window's sum; mask = its place."""
    spread(sampled_pool_plane, len(bottom), num_workers(bottom.size), (bottom, top, mask, draws, kh, kw, sh, sw))


@part
def weighted_pool_plane(
    plane: int, worker: int, bottom: np.ndarray, top: np.ndarray, sums: np.ndarray, kh: int, kw: int, sh: int, sw: int
) -> None:
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


@kernel(reference=weighted_pool_reference)
def weighted_pool(bottom: np.ndarray, top: np.ndarray, sums: np.ndarray, kh: int, kw: int, sh: int, sw: int) -> None:
    """top = sum of squares / sum of each window, or 0 where the sum is not positive; sums = those sums."""
    spread(weighted_pool_plane, len(bottom), num_workers(bottom.size), (bottom, top, sums, kh, kw, sh, sw))


@part
def weighted_pool_plane_backward(
    plane: int,
    worker: int,
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
    _, pooled_h, pooled_w = top.shape
    bottom_diff[plane] = 0
    for y in range(pooled_h):
        for x in range(pooled_w):
            if sums[plane, y, x] > 0:
                share = top_diff[plane, y, x] / sums[plane, y, x]
                for h in range(y * sh, min(y * sh + kh, height)):
                    for w in range(x * sw, min(x * sw + kw, width)):
                        bottom_diff[plane, h, w] += share * (2 * bottom[plane, h, w] - top[plane, y, x])


@kernel(reference=weighted_pool_backward_reference)
def weighted_pool_backward(
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
    """bottom_diff = top_diff * (2 x - top) / sum, summed over the windows with a positive sum."""
    spread(
        weighted_pool_plane_backward,
        len(bottom),
        num_workers(bottom.size),
        (bottom, bottom_diff, top, top_diff, sums, kh, kw, sh, sw),
    )
