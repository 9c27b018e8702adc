"""Compiled kernels and NumPy references, both against a loop that spells the definition out, at every border."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bicerin.errors import ShapeError
from bicerin_pooling import average_pooling_kernels as averages
from bicerin_pooling import max_pooling_kernels as maxima
from bicerin_pooling import stochastic_pooling_kernels as sampling
from bicerin_pooling.window import Window


@st.composite
def geometries(draw: st.DrawFn, padded: bool = True) -> tuple[tuple[int, ...], Window, bool]:
    """Planes of up to 9 x 20 pixels under a window that fits: `(shape, window, ceil)`."""
    kernel = draw(st.tuples(st.integers(1, 5), st.integers(1, 5)))
    stride = draw(st.tuples(st.integers(1, 4), st.integers(1, 4)))
    pad = tuple(draw(st.integers(0, size - 1 if padded else 0)) for size in kernel)
    shape = (draw(st.integers(0, 3)), draw(st.integers(1, 9)), draw(st.integers(1, 20)))
    window = Window(*kernel, *stride, *pad)
    ceil = draw(st.booleans())
    try:
        window.pooled_shape(*shape[1:], ceil=ceil)
    except ShapeError:
        shape = (shape[0], shape[1] + kernel[0], shape[2] + kernel[1])
    return shape, window, ceil


def pixels(shape: tuple[int, ...], seed: int, dtype: type = np.float64) -> np.ndarray:
    """Few distinct values, so that maxima tie."""
    return np.random.default_rng(seed).integers(-3, 4, shape).astype(dtype)


def windows(window: Window, shape: tuple[int, ...], pooled: tuple[int, int]):
    """For each output `(y, x)`: its rows and columns within the plane, and its area within the padding."""
    for y, x in np.ndindex(*pooled):
        top, left = y * window.stride_h - window.pad_h, x * window.stride_w - window.pad_w
        bottom, right = top + window.kernel_h, left + window.kernel_w
        area = (min(bottom, shape[1] + window.pad_h) - top) * (min(right, shape[2] + window.pad_w) - left)
        rows = range(max(top, 0), min(bottom, shape[1]))
        columns = range(max(left, 0), min(right, shape[2]))
        yield y, x, rows, columns, area


def flat(bottom: np.ndarray, top: np.ndarray, *window: int) -> None:
    maxima.flat_max_pool(bottom, top, np.empty((0, 0, 0), np.int32), *window)


def unmasked_max_pool(bottom: np.ndarray, top: np.ndarray, *window: int) -> None:
    maxima.max_pool(bottom, top, np.empty((0, 0, 0), np.int32), *window)


@pytest.mark.parametrize("pool", [maxima.max_pool, maxima.masked_row_max_pool, maxima.window_max_pool,
                                  maxima.flat_max_pool,
                                  maxima.masked_max_pool_reference])  # fmt: skip
@settings(max_examples=60, deadline=None)
@given(geometry=geometries(), seed=st.integers(0, 99))
def test_max_takes_the_first_greatest(pool, geometry, seed: int) -> None:
    shape, window, ceil = geometry
    bottom = pixels(shape, seed)
    bottom[np.random.default_rng(seed).random(shape) < 0.1] = np.nan
    pooled = window.pooled_shape(*shape[1:], ceil=ceil)
    top, mask = np.full((shape[0], *pooled), 9.0), np.full((shape[0], *pooled), 9, np.int32)
    pool(bottom, top, mask, *window)
    for plane in range(shape[0]):
        for y, x, rows, columns, _ in windows(window, shape, pooled):
            best, place = maxima.LOWEST, -1
            for h in rows:
                for w in columns:
                    if bottom[plane, h, w] > best:
                        best, place = bottom[plane, h, w], h * shape[2] + w
            assert (top[plane, y, x], mask[plane, y, x]) == (best, place)
    for unmasked in (unmasked_max_pool, maxima.row_max_pool, flat, maxima.max_pool_reference):
        again = np.full_like(top, 9)
        unmasked(bottom, again, *window)
        assert np.array_equal(again, top)


@pytest.mark.parametrize("scatter", [maxima.scatter, maxima.scatter_reference])
@given(seed=st.integers(0, 99))
@settings(max_examples=20, deadline=None)
def test_scatter_adds_where_the_mask_points(scatter, seed: int) -> None:
    random = np.random.default_rng(seed)
    top_diff, mask = random.standard_normal((3, 2, 4)), random.integers(-1, 6, (3, 2, 4)).astype(np.int32)
    bottom_diff = np.full((3, 2, 3), 9.0)
    scatter(bottom_diff, top_diff, mask)
    for plane in range(3):
        for place in range(6):
            expected = top_diff[plane][mask[plane] == place].sum()
            assert bottom_diff[plane].flat[place] == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(("forward", "backward"), [
    (averages.average_pool, averages.average_pool_backward),
    (averages.average_pool_reference, averages.average_pool_backward_reference),
])  # fmt: skip
@settings(max_examples=60, deadline=None)
@given(geometry=geometries(), seed=st.integers(0, 99))
def test_average_divides_by_the_area_with_padding(forward, backward, geometry, seed: int) -> None:
    shape, window, ceil = geometry
    bottom = pixels(shape, seed)
    pooled = window.pooled_shape(*shape[1:], ceil=ceil)
    top, bottom_diff = np.full((shape[0], *pooled), 9.0), np.full(shape, 9.0)
    top_diff, expected_diff = pixels(top.shape, seed + 1), np.zeros(shape)
    forward(bottom, top, *window)
    backward(bottom_diff, top_diff, *window)
    for y, x, rows, columns, area in windows(window, shape, pooled):
        box = np.s_[:, rows.start : rows.stop, columns.start : columns.stop]
        if not (rows and columns):
            continue  # nothing over nothing, or over the width of nothing
        assert top[:, y, x] == pytest.approx(bottom[box].sum(axis=(1, 2)) / area)
        expected_diff[box] += top_diff[:, y, x, None, None] / area
    assert bottom_diff == pytest.approx(expected_diff)


@settings(max_examples=40, deadline=None)
@given(geometry=geometries(padded=False), seed=st.integers(0, 99))
def test_stochastic_kernels_equal_their_references(geometry, seed: int) -> None:
    shape, window, ceil = geometry
    bottom = np.abs(pixels(shape, seed))
    pooled = (shape[0], *window.pooled_shape(*shape[1:], ceil=ceil))
    draws, top_diff = 1 - np.random.default_rng(seed).random(pooled), pixels(pooled, seed + 1)
    results = []
    for sampled, weighted, backward in (
        (
            sampling.sampled_pool,
            sampling.weighted_pool,
            sampling.weighted_pool_backward,
        ),
        (
            sampling.sampled_pool_reference,
            sampling.weighted_pool_reference,
            sampling.weighted_pool_backward_reference,
        ),
    ):
        sample, mask, mean, sums = np.ones(pooled), np.ones(pooled, np.int32), np.ones(pooled), np.ones(pooled)
        bottom_diff = np.full(shape, 9.0)
        sampled(bottom, sample, mask, draws, *window[:4])
        weighted(bottom, mean, sums, *window[:4])
        backward(bottom, bottom_diff, mean, top_diff, sums, *window[:4])
        results.append((sample, mask, mean, sums, bottom_diff))
    for compiled, reference in zip(*results, strict=True):
        assert compiled == pytest.approx(reference)


@pytest.mark.parametrize(("size", "kernel", "stride", "pad", "ceil", "pooled"), [
    (6, 3, 2, 0, True, 3),   # the last window reaches over the edge
    (6, 3, 2, 0, False, 2),
    (7, 3, 2, 0, True, 3),   # it fits exactly
    (4, 2, 2, 1, True, 3),
    (5, 2, 2, 1, True, 3),   # a fourth would start in the padding: clipped
    (3, 5, 3, 0, True, 1),   # larger than the plane, but one step reaches its end
    (6, 2, 3, 0, True, 3),   # without padding nothing is clipped: the last window is empty
])  # fmt: skip
def test_how_many_windows(size: int, kernel: int, stride: int, pad: int, ceil: bool, pooled: int) -> None:
    assert Window(kernel, kernel, stride, stride, pad, pad).pooled_shape(size, size, ceil=ceil) == (pooled, pooled)
