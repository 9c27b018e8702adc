"""LRN against its definition and its checks."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bicerin.errors import LayerError, ShapeError
from bicerin.testing import run_layer
from bicerin_normalization import lrn_kernels as kernels


def lrn(options: str) -> str:
    return f'type: "LRN" lrn_param {{ {options} }}'


def values(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape)


def neighbours(x: np.ndarray, place: tuple[int, ...], half: int, axes: tuple[int, ...]) -> np.ndarray:
    box = [slice(i, i + 1) for i in place]
    for axis in axes:
        box[axis] = slice(max(place[axis] - half, 0), place[axis] + half + 1)
    return x[tuple(box)]


@pytest.mark.parametrize(("region", "axes"), [("ACROSS_CHANNELS", (1,)), ("WITHIN_CHANNEL", (2, 3))])
@pytest.mark.parametrize("phase", ["TRAIN", "TEST"])
@settings(max_examples=25, deadline=None)
@given(
    shape=st.tuples(st.integers(0, 2), st.integers(1, 7), st.integers(1, 6), st.integers(1, 6)),
    size=st.sampled_from([1, 3, 5, 9, 101]),
    beta=st.sampled_from([0.75, 0.5]),
)
def test_definition(region: str, axes: tuple[int, ...], phase: str, shape, size: int, beta: float, device: str) -> None:
    x = values(*shape)
    options = f"local_size: {size} alpha: 0.5 beta: {beta} k: 2 norm_region: {region}"
    run = run_layer(lrn(options), [x], phase=phase, dtype=np.float64, device=device)
    run.forward()
    k = 2 if region == "ACROSS_CHANNELS" else 1
    for place in np.ndindex(*shape):
        power = (neighbours(x, place, size // 2, axes) ** 2).sum() * 0.5 / size ** len(axes)
        assert run.top[0].data[place] == pytest.approx(x[place] * (k + power) ** -beta, rel=1e-12)


@pytest.mark.parametrize("pixels", [1, 511, 512, 513, 1100])
def test_tiles_meet(pixels: int) -> None:
    """The kernels across channels cut the pixels into tiles of 512; their array forms do not."""
    x, y_diff = values(2, 6, pixels).astype(np.float32), values(2, 6, pixels, seed=1).astype(np.float32)
    y, scale, x_diff = np.empty_like(x), np.empty_like(x), np.empty_like(x)
    ratio, y_again, scale_again, x_diff_again = (np.empty_like(x) for _ in range(4))
    kernels.across(x, y, scale, 5, 0.1, 0.75, 1.0)
    kernels.across_array(np, x, y_again, scale_again, 5, 0.1, 0.75, 1.0)
    kernels.across_backward(x, scale, y_diff, ratio, x_diff, 5, 0.1, 0.75)
    kernels.across_backward_array(np, x, scale, y_diff, ratio, x_diff_again, 5, 0.1, 0.75)
    for actual, expected in ((y, y_again), (scale, scale_again), (x_diff, x_diff_again)):
        np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("size", [1, 3, 7])
def test_planes_equal_their_array_form(size: int) -> None:
    x, y_diff = values(3, 6, 5).astype(np.float32), values(3, 6, 5, seed=1).astype(np.float32)
    y, scale, x_diff = np.empty_like(x), np.empty_like(x), np.empty_like(x)
    ratio, y_again, scale_again, x_diff_again = (np.empty_like(x) for _ in range(4))
    kernels.within(x, y, scale, size, 0.1, 0.6, 1.0)
    kernels.within_array(np, x, y_again, scale_again, size, 0.1, 0.6, 1.0)
    kernels.within_backward(x, scale, y_diff, ratio, x_diff, size, 0.1, 0.6)
    kernels.within_backward_array(np, x, scale, y_diff, ratio, x_diff_again, size, 0.1, 0.6)
    for actual, expected in ((y, y_again), (scale, scale_again), (x_diff, x_diff_again)):
        np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("region", ["ACROSS_CHANNELS", "WITHIN_CHANNEL"])
def test_reshaped_up_and_down_and_back(region: str, device: str) -> None:
    x = values(2, 3, 4, 4)
    run = run_layer(lrn(f"local_size: 3 norm_region: {region}"), [x], dtype=np.float64, device=device)
    run.forward()
    first = run.top[0].data.copy()
    for shape in [(4, 5, 6, 7), (1, 1, 1, 1), (0, 3, 4, 4), (2, 3, 4, 4)]:
        run.bottom[0].reshape(*shape)
        run.bottom[0].data[...] = x if shape == x.shape else 0.5
        run.forward()
        run.top[0].diff[...] = 1
        run.backward()
        assert run.top[0].shape == shape
    assert np.array_equal(run.top[0].data, first)


def test_errors(device: str) -> None:
    with pytest.raises(ShapeError, match="LRN only supports odd values for local_size, not 4"):
        run_layer(lrn("local_size: 4"), [values(1, 2, 3, 3)], device=device)
    with pytest.raises(ShapeError, match="Input must have 4 axes"):
        run_layer(lrn(""), [values(2, 3, 3)], device=device)
    with pytest.raises(LayerError, match="LRN Layer does not allow in-place computation"):
        run_layer(lrn(""), [values(1, 2, 3, 3)], in_place=True, device=device)


@pytest.mark.parametrize("region", ["ACROSS_CHANNELS", "WITHIN_CHANNEL"])
def test_more_neighbours_than_there_are_cost_nothing(region: str, device: str) -> None:
    """All sums are those of everything; a size of 2^32 - 1 takes as long as one that just covers it."""
    power, size = (1, 2**32 - 1) if region == "ACROSS_CHANNELS" else (2, 2**32 - 1)
    x = values(2, 3, 4, 5)
    run = run_layer(
        lrn(f"local_size: {size} alpha: {float(size) ** power} beta: 0.75 norm_region: {region}"),
        [x], dtype=np.float64, device=device,
    )  # fmt: skip
    run.forward()
    run.top[0].diff[...] = 1
    run.backward()
    sums = (x**2).sum(axis=1 if region == "ACROSS_CHANNELS" else (2, 3), keepdims=True)
    np.testing.assert_allclose(run.top[0].data, x * (1 + sums) ** -0.75, rtol=1e-5)
    assert np.isfinite(run.bottom[0].diff).all()
