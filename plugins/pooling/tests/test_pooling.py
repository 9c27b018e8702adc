"""Pooling: its options, checks and gradients."""

from __future__ import annotations

import numpy as np
import pytest

from bicerin.errors import BlobCountError, LayerError, ShapeError
from bicerin.testing import check_gradient, run_layer


def pooling(options: str) -> str:
    return f'type: "Pooling" pooling_param {{ {options} }}'


def distinct(*shape: int, seed: int = 0) -> np.ndarray:
    """Positive values, 0.01 apart: no difference taken turns one maximum into another."""
    return (np.random.default_rng(seed).permutation(np.prod(shape)).reshape(shape) + 1) * 0.01


@pytest.mark.parametrize("phase", ["TRAIN", "TEST"])
@pytest.mark.parametrize(('options', 'shape'), [
    ("kernel_size: 2 stride: 2", (2, 2, 4, 4)),
    ("kernel_size: 3 stride: 2 pad: 1", (2, 2, 6, 5)),
    ("kernel_h: 3 kernel_w: 2 stride_h: 1 stride_w: 2 pad_h: 2 pad_w: 1 round_mode: FLOOR", (1, 3, 5, 4)),
    ("kernel_size: 3 stride: 1", (1, 1, 4, 20)),
    ("global_pooling: true", (2, 3, 3, 4)),
])  # fmt: skip
@pytest.mark.parametrize("pool", ["MAX", "AVE"])
def test_gradient(pool: str, options: str, shape: tuple[int, ...], phase: str, device: str) -> None:
    check_gradient(pooling(f"pool: {pool} {options}"), [distinct(*shape)], phase=phase, device=device)


@pytest.mark.parametrize("options", ["kernel_size: 2 stride: 2", "kernel_size: 3 stride: 2", "global_pooling: true"])
@pytest.mark.parametrize("phase", ["TRAIN", "TEST"])
def test_stochastic_gradient(options: str, phase: str, device: str) -> None:
    check_gradient(
        pooling(f"pool: STOCHASTIC {options}"), [distinct(2, 2, 6, 5)], phase=phase, reseed=True, device=device
    )


def test_stochastic_draws_in_proportion(device: str) -> None:
    """Windows of 0, 1, 3, 4: never the 0, and the others as often as they are large, within 5 standard deviations."""
    number = 20_000
    images = np.tile(np.array([[0.0, 1.0], [3.0, 4.0]]), (number, 1, 1, 1))
    run = run_layer(pooling("pool: STOCHASTIC kernel_size: 2"), [images], device=device)
    run.forward()
    values, counts = np.unique(run.top[0].data, return_counts=True)
    assert values.tolist() == [1, 3, 4]
    for value, count in zip(values, counts, strict=True):
        p = value / 8
        assert abs(count - number * p) < 5 * np.sqrt(number * p * (1 - p))


def test_stochastic_is_the_mean_at_test(device: str) -> None:
    run = run_layer(
        pooling("pool: STOCHASTIC kernel_size: 2 stride: 2"),
        [[[[[0, 1, 0, 0], [3, 4, 0, 0]]]]],
        phase="TEST",
        device=device,
    )
    run.forward()
    assert run.top[0].data.tolist() == [[[[26 / 8, 0]]]]


def test_the_same_seed_draws_the_same_on_every_device(device: str) -> None:
    tops = []
    for seed, where in ((1, device), (1, device), (1, "cpu"), (2, device)):
        run = run_layer(pooling("pool: STOCHASTIC kernel_size: 3"), [distinct(4, 2, 8, 8)], seed=seed, device=where)
        run.forward()
        tops.append(run.top[0].data.copy())
    assert np.array_equal(tops[0], tops[1]) and np.array_equal(tops[0], tops[2])
    assert not np.array_equal(tops[0], tops[3])


@pytest.mark.parametrize("phase", ["TRAIN", "TEST"])
def test_mask(phase: str, device: str) -> None:
    run = run_layer(
        pooling("kernel_size: 2 stride: 2"), [[[[[1, 5, 2, 2], [5, 0, 2, 2]]]]], tops=2, phase=phase, device=device
    )  # fmt: skip
    run.forward()
    assert run.top[0].data.tolist() == [[[[5, 2]]]]
    assert run.top[1].data.tolist() == [[[[1, 2]]]]  # the first of equals


def test_what_a_mask_picks() -> None:
    x = np.arange(30.0).reshape(1, 1, 5, 6) + 1
    run = run_layer(pooling("kernel_size: 3 stride: 2 pad: 1"), [x], tops=2)
    run.forward()
    values, mask = (top.data for top in run.top)
    np.testing.assert_array_equal(run.layer.chosen(run.bottom, 1, mask), values)
    assert run.layer.chosen(run.bottom, 0, values) is None
    # The first window is of the places 0, 1, 6 and 7.
    for place, value in ((0, 1), (7, 8), (2, np.nan), (8, np.nan), (12, np.nan), (-1, np.nan), (30, np.nan)):
        choices = mask.copy()
        choices[0, 0, 0, 0] = place
        np.testing.assert_array_equal(run.layer.chosen(run.bottom, 1, choices)[0, 0, 0, 0], value)


def test_nan_is_never_a_maximum(device: str) -> None:
    run = run_layer(
        pooling("kernel_size: 2 stride: 2"),
        [[[[[np.nan, 1, np.nan, np.nan], [0, np.nan, np.nan, np.nan]]]]],
        device=device,
    )
    run.forward()
    assert run.top[0].data.tolist() == [[[[1, float(np.finfo(np.float32).min)]]]]
    run.top[0].diff[...] = 1
    run.backward()
    assert run.bottom[0].diff.tolist() == [[[[0, 1, 0, 0], [0, 0, 0, 0]]]]


@pytest.mark.parametrize("pool", ["MAX", "AVE", "STOCHASTIC"])
@pytest.mark.parametrize("phase", ["TRAIN", "TEST"])
def test_global_pooling_follows_the_bottom(pool: str, phase: str, device: str) -> None:
    """Reshaped up, down and back, with batches of 0 and 1 on the way."""
    run = run_layer(pooling(f"pool: {pool} global_pooling: true"), [distinct(2, 3, 4, 5)], phase=phase, device=device)
    run.forward()
    first = run.top[0].data.copy()
    for shape in [(1, 3, 7, 6), (0, 3, 4, 5), (2, 1, 1, 1)]:
        run.bottom[0].reshape(*shape)
        run.bottom[0].data[...] = 0.5
        run.forward()
        run.backward()
        assert run.top[0].shape == (*shape[:2], 1, 1)
        assert (run.top[0].data == 0.5).all()
    run.bottom[0].reshape(2, 3, 4, 5)
    run.bottom[0].data[...] = distinct(2, 3, 4, 5)
    run.forward()
    if pool != "STOCHASTIC":
        assert np.array_equal(run.top[0].data, first)


def test_one_size_goes_before_two_halves(device: str) -> None:
    """Caffe takes kernel_size where kernel_h stands beside it alone."""
    assert run_layer(pooling("kernel_size: 2 kernel_h: 3"), [np.zeros((1, 1, 4, 4))], device=device).top[0].shape == (
        1,
        1,
        3,
        3,
    )


@pytest.mark.parametrize(('options', 'message'), [
    ("", "Filter size is kernel_size OR kernel_h and kernel_w; not both"),
    ("kernel_h: 2", "For non-square filters both kernel_h and kernel_w are required"),
    ("kernel_size: 2 kernel_h: 2 kernel_w: 2", "Filter size is kernel_size OR kernel_h and kernel_w; not both"),
    ("global_pooling: true kernel_size: 2", "With Global_pooling: true Filter size cannot specified"),
    ("global_pooling: true stride: 2", "With Global_pooling: true; only pad = 0 and stride = 1"),
    ("global_pooling: true pad: 1", "With Global_pooling: true; only pad = 0 and stride = 1"),
    ("kernel_size: 2 pad: 1 pad_h: 1 pad_w: 1", "Pad is pad OR pad_h and pad_w are required"),
    ("kernel_size: 2 pad_h: 1", "Pad is pad OR pad_h and pad_w are required"),
    ("kernel_size: 2 stride_w: 1", "Stride is stride OR stride_h and stride_w are required"),
    ("kernel_size: 0", "Filter dimensions cannot be zero"),
    ("kernel_size: 2 stride: 0", "Stride dimensions cannot be zero"),
    ("kernel_size: 2 pad: 2", "must be smaller than the kernel"),
    ("kernel_size: 7", "7 x 7 is larger than the bottom's 4 x 5"),
    ("kernel_size: 2 pad: 1 pool: STOCHASTIC", "Padding implemented only for average and max pooling"),
])  # fmt: skip
def test_errors(options: str, message: str, device: str) -> None:
    with pytest.raises(ShapeError, match=message):
        run_layer(pooling(options), [np.zeros((1, 2, 4, 5))], device=device)


def test_only_planes_are_pooled(device: str) -> None:
    with pytest.raises(ShapeError, match="Input must have 4 axes"):
        run_layer(pooling("kernel_size: 2"), [np.zeros((2, 4, 5))], device=device)


def test_only_max_has_a_mask(device: str) -> None:
    with pytest.raises(BlobCountError, match=r"Pooling Layer produces at most 1 top blob\(s\) as output"):
        run_layer(pooling("pool: AVE kernel_size: 2"), [np.zeros((1, 2, 4, 5))], tops=2, device=device)


@pytest.mark.parametrize("definition", [pooling("kernel_size: 1"), 'type: "SPP" spp_param { pyramid_height: 1 }'])
def test_not_in_place(definition: str, device: str) -> None:
    with pytest.raises(LayerError, match="Layer does not allow in-place computation"):
        run_layer(definition, [np.zeros((1, 2, 1, 1))], in_place=True, device=device)


@pytest.mark.parametrize("stride", [100, 2**31 - 1, 2**32 - 1])
@pytest.mark.parametrize(("pool", "beyond"), [("MAX", -np.finfo(np.float32).max), ("AVE", 0)])
def test_a_stride_that_leaves_the_plane(pool: str, beyond: float, stride: int, device: str) -> None:
    """Without padding, Caffe counts a second window, in which there is nothing; it takes no memory to be there."""
    x = np.arange(24, dtype=np.float32).reshape(1, 1, 4, 6)
    run = run_layer(
        f'type: "Pooling" pooling_param {{ pool: {pool} kernel_size: 2 stride: {stride} }}', [x], device=device
    )
    run.forward()
    first = 7 if pool == "MAX" else 3.5
    assert np.float32(run.top[0].data).tolist() == [[[[first, np.float32(beyond)], [np.float32(beyond)] * 2]]]
    run.top[0].diff[...] = 1
    run.backward()
    assert run.bottom[0].diff.sum() == 1
