"""BatchNorm against its definition, its running averages and its checks."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import pytest

import bicerin
from bicerin.errors import LayerError, ShapeError, WeightsError
from bicerin.testing import run_layer
from bicerin_normalization import batch_norm_kernels as kernels


def batch_norm(options: str = "", rest: str = "") -> str:
    return f'type: "BatchNorm" batch_norm_param {{ {options} }} {rest}'


def values(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-1, 2, shape)


def normalized(x: np.ndarray, eps: float = 1e-5) -> np.ndarray:
    axes = tuple(axis for axis in range(x.ndim) if axis != 1) if x.ndim > 1 else None
    return (x - x.mean(axis=axes, keepdims=True)) / np.sqrt(x.var(axis=axes, keepdims=True) + eps)


SHAPES = pytest.mark.parametrize("shape", [(4, 3, 6, 5), (5, 3), (1, 2, 3, 3), (2, 3, 2, 2, 2), (7,)])
STATISTICS = (np.array([0.3, -0.6, 0.9]), np.array([1.5, 3.0, 0.6]), np.array([1.5]))


@SHAPES
@pytest.mark.parametrize("in_place", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_definition(shape: tuple[int, ...], in_place: bool, dtype: type, device: str) -> None:
    x = values(*shape)
    run = run_layer(batch_norm(), [x], in_place=in_place, dtype=dtype, device=device)
    run.forward()
    assert run.top[0].data == pytest.approx(normalized(x), rel=1e-4, abs=1e-5)


@pytest.mark.parametrize("phase", ["TRAIN", "TEST"])
@pytest.mark.parametrize("shape", [(4, 3, 6, 5), (5, 3)])
def test_gradient_in_place(shape: tuple[int, ...], phase: str, device: str) -> None:
    """Also when a later in-place layer has overwritten the top."""
    gradients = []
    for in_place in (False, True):
        run = run_layer(
            batch_norm(), [values(*shape)], phase=phase, parameters=STATISTICS, in_place=in_place, device=device
        )
        run.forward()
        if in_place:
            run.top[0].data.fill(9)
        run.top[0].diff[...] = values(*shape, seed=1)
        run.backward()
        gradients.append(run.bottom[0].diff.copy())
    assert gradients[0] == pytest.approx(gradients[1], rel=1e-4, abs=1e-5)


def test_global_statistics_are_divided_by_their_weight(device: str) -> None:
    x = values(2, 3, 4, 4)
    run = run_layer(batch_norm("eps: 0.01"), [x], phase="TEST", parameters=STATISTICS, dtype=np.float64, device=device)
    run.forward()
    mean, variance = (statistic.reshape(3, 1, 1) / 1.5 for statistic in STATISTICS[:2])
    assert run.top[0].data == pytest.approx((x - mean) / np.sqrt(variance + np.float32(0.01)))


def test_without_any_batch_yet_global_statistics_are_zeros(device: str) -> None:
    run = run_layer(batch_norm("eps: 0.25"), [values(2, 3, 4, 4)], phase="TEST", dtype=np.float64, device=device)
    run.forward()
    assert run.top[0].data == pytest.approx(values(2, 3, 4, 4) / 0.5)


def test_running_averages(device: str) -> None:
    run = run_layer(batch_norm("moving_average_fraction: 0.75"), [values(2, 3, 4, 4)], dtype=np.float64, device=device)
    mean, variance, weight = np.zeros(3), np.zeros(3), 0.0
    for seed in range(3):
        x = values(2, 3, 4, 4, seed=seed)
        run.bottom[0].data[...] = x
        run.forward()
        mean = 0.75 * mean + x.mean(axis=(0, 2, 3))
        variance = 0.75 * variance + x.var(axis=(0, 2, 3), ddof=1)
        weight = 0.75 * weight + 1
    for blob, expected in zip(run.blobs, (mean, variance, [weight]), strict=True):
        assert blob.data == pytest.approx(expected)


def test_one_value_a_channel_has_no_unbiased_variance(device: str) -> None:
    run = run_layer(batch_norm(), [values(1, 3)], device=device)
    run.forward()
    assert (run.blobs[1].data == 0).all()
    assert (run.top[0].data == 0).all()


def test_an_empty_batch_changes_nothing(device: str) -> None:
    run = run_layer(batch_norm(), [values(0, 3, 2, 2)], parameters=STATISTICS, device=device)
    run.forward()
    run.backward()
    for blob, before in zip(run.blobs, STATISTICS, strict=True):
        assert np.array_equal(blob.data, before.astype(np.float32))


def test_the_solver_leaves_the_statistics_alone(device: str) -> None:
    layer = run_layer(batch_norm(rest="param { lr_mult: 0 decay_mult: 0 }"), [values(2, 3)], device=device).layer
    assert [(spec.lr_mult, spec.decay_mult) for spec in layer.param.param] == [(0, 0), (0, 1), (0, 1)]
    with pytest.raises(LayerError, match="Cannot configure batch normalization statistics as layer parameters"):
        run_layer(batch_norm(rest="param { lr_mult: 1 }"), [values(2, 3)], device=device)


def test_channels_must_stay(device: str) -> None:
    run = run_layer(batch_norm(), [values(2, 3, 2, 2)], device=device)
    run.bottom[0].reshape(2, 4, 2, 2)
    with pytest.raises(ShapeError, match="set up for 3 channels, but the bottom has 4"):
        run.forward()
    with pytest.raises(ShapeError, match="a scalar has no batch"):
        run_layer(batch_norm(), [np.array(1.0)], device=device)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(3, 4, 7), (1, 1, 1), (2, 5, 33), (0, 3, 4)])
def test_kernels_equal_their_array_forms(shape: tuple[int, ...], dtype: type) -> None:
    x, y_diff = values(*shape).astype(dtype), values(*shape, seed=1).astype(dtype)
    results = []
    for forward, backward, normalize in (
        (kernels.batch_norm, kernels.batch_norm_backward, kernels.normalize),
        [
            partial(form, np)
            for form in (kernels.batch_norm_array, kernels.batch_norm_backward_array, kernels.normalize_array)
        ],
    ):
        y, z, x_diff, x_diff_of_y = (np.empty_like(x) for _ in range(4))
        mean, variance, inverse = (np.empty(shape[1], dtype) for _ in range(3))
        means = np.empty((2, shape[1]), dtype)
        if x.size:
            forward(x, y, mean, variance, inverse, 1e-3)
            backward(x, y_diff, mean, inverse, False, means, x_diff)
            backward(y, y_diff, mean, inverse, True, means, x_diff_of_y)
            normalize(x, mean, inverse, z)
            np.testing.assert_allclose(x_diff, x_diff_of_y, rtol=1e-4, atol=1e-5)
            np.testing.assert_allclose(means[0], y_diff.mean(axis=(0, 2)), rtol=1e-4, atol=1e-5)
            np.testing.assert_allclose(means[1], (y_diff * y).mean(axis=(0, 2)), rtol=1e-4, atol=1e-5)
        results.append((y, x_diff, z))
    for compiled, array in zip(*results, strict=True):
        np.testing.assert_allclose(compiled, array, rtol=1e-4, atol=1e-5)


SCALED = "batch_norm_param { scale_bias: true eps: 0.1 }"
NET = """
force_backward: true
layer { name: "in" type: "Input" top: "x" input_param { shape { dim: 4 dim: 3 dim: 2 dim: 2 } } }
layer { name: "c" type: "Power" bottom: "x" top: "y" }
%s
layer { name: "l" type: "Reduction" bottom: "%s" top: "l" loss_weight: 1 reduction_param { operation: SUMSQ } }
"""


@pytest.mark.parametrize("phase", ["TRAIN", "TEST"])
@pytest.mark.parametrize("top", ["y", "z"])
def test_scale_bias_is_a_scale_layer_after_it(phase: str, top: str, device: str) -> None:
    pytest.importorskip("bicerin_structure")
    pytest.importorskip("bicerin_activation")
    one = bicerin.Net(
        NET % (f'layer {{ name: "b" type: "BatchNorm" bottom: "y" top: "{top}" {SCALED} }}', top), phase, device=device
    )
    two = bicerin.Net(
        NET
        % (
            'layer { name: "b" type: "BatchNorm" bottom: "y" top: "z" batch_norm_param { eps: 0.1 } }'
            'layer { name: "s" type: "Scale" bottom: "z" top: "w" scale_param { bias_term: true } }',
            "w",
        ),
        phase,
        device=device,
    )
    assert [(blob.data == value).all() for blob, value in zip(one.params["b"][3:], (1, 0), strict=True)] == [True, True]
    x = values(4, 3, 2, 2)
    for blob, array in zip([*one.params["b"]], [*STATISTICS, [1.5, -2, 0.5], [1, 2, 3]], strict=True):
        blob.data[...] = array
    for blob, other in zip([*two.params["b"], *two.params["s"]], one.params["b"], strict=True):
        blob.data[...] = other.data
    for net in (one, two):
        net.blobs["x"].data[...] = x
        net.clear_param_diffs()
        net.run_forward()
        net.run_backward()
    np.testing.assert_allclose(one.blobs[top].data, two.blobs["w"].data, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(one.blobs["x"].diff, two.blobs["x"].diff, rtol=1e-4, atol=1e-4)
    for blob, other in zip(one.params["b"], [*two.params["b"], *two.params["s"]], strict=True):
        np.testing.assert_allclose(blob.data, other.data, rtol=1e-5)
    for blob, other in zip(one.params["b"][3:], two.params["s"], strict=True):
        np.testing.assert_allclose(blob.diff, other.diff, rtol=1e-4, atol=1e-4)
    assert one.params_lr == [0, 0, 0, 1, 1]


def test_weights_of_five_blobs_are_loaded(tmp_path: Path) -> None:
    text = 'layer { name: "in" type: "Input" top: "x" input_param { shape { dim: 4 dim: 3 } } } layer { name: "b" '
    text += 'type: "BatchNorm" bottom: "x" top: "y" batch_norm_param { scale_bias: %s } }'
    trained = bicerin.Net(text % "true")
    trained.params["b"][3].data[...] = [1, 2, 3]
    path = trained.save(tmp_path / "net.caffemodel")
    assert (bicerin.Net(text % "true", weights=path).params["b"][3].data == [1, 2, 3]).all()


@pytest.mark.parametrize(
    ("fillers", "scale", "shift"),
    [
        ("scale_filler { value: 2 }", 2, 0),
        ("bias_filler { value: 3 }", 1, 3),
        ("scale_bias: false scale_filler { value: 2 } bias_filler { value: 3 }", 2, 3),
    ],
)
def test_a_filler_asks_for_scale_and_bias(fillers: str, scale: float, shift: float) -> None:
    """As NVIDIA's BatchNormLayer::LayerSetUp, "implicit set"."""
    x = values(4, 3)
    plain, scaled = (run_layer(batch_norm(options), [x]) for options in ("eps: 0.1", f"eps: 0.1 {fillers}"))
    for run in (plain, scaled):
        run.forward()
    assert [blob.shape for blob in scaled.blobs] == [(3,), (3,), (1,), (3,), (3,)]
    np.testing.assert_allclose(scaled.top[0].data, scale * plain.top[0].data + shift, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("options", "entries", "blobs"),
    [
        ("use_weight_bias: true", 0, 5),
        ("use_weight_bias: true bias_term: false", 0, 4),
        ("use_weight_bias: false filler { value: 2 }", 0, 3),
        ("filler { value: 2 }", 0, 5),
        ("filler { value: 2 }", 3, 3),
    ],
)
def test_when_intels_options_ask_for_a_scale(options: str, entries: int, blobs: int, device: str) -> None:
    """Three `param` entries are those of the reference BatchNorm, with which Intel's has none."""
    run = run_layer(batch_norm(options, "param { lr_mult: 0 } " * entries), [values(4, 3)], device=device)
    assert len(run.blobs) == blobs
    if blobs > 3:
        np.testing.assert_array_equal(run.blobs[3].data, 2 if "filler" in options else 1)


def test_what_scale_bias_says() -> None:
    blobs = "".join(f"blobs {{ shape {{ dim: {size} }} }} " for size in (3, 3, 1, 3, 3))
    blobs = blobs.replace("dim: 3 } }", "dim: 3 } data: [1, 1, 1] }").replace("dim: 1 } }", "dim: 1 } data: 1 }")
    with pytest.raises(ShapeError, match=r"scale_bias: true \} computes with them"):
        run_layer(batch_norm("", blobs), [values(4, 3)])
    with pytest.raises(LayerError, match="param 0 has lr_mult 1"):
        run_layer(batch_norm("scale_bias: true", "param { lr_mult: 1 }"), [values(4, 3)])


def test_weights_of_five_blobs_for_three_are_explained(tmp_path: Path) -> None:
    text = (
        'layer {{ name: "in" type: "Input" top: "x" input_param {{ shape {{ dim: 2 dim: 3 }} }} }}'
        ' layer {{ name: "bn" type: "BatchNorm" bottom: "x" top: "y" {} }}'
    )
    weights = str(tmp_path / "five.caffemodel")
    bicerin.Net(text.format("batch_norm_param { scale_bias: true }"), "TEST").save(weights)
    with pytest.raises(WeightsError, match=r"the file has 5, the net's layer 3\. .*scale_bias: true"):
        bicerin.Net(text.format(""), "TEST", weights=weights)


def in_parts(x: np.ndarray, size: int, eps: float = 1e-5) -> np.ndarray:
    return np.concatenate([normalized(x[begin : begin + size], eps) for begin in range(0, len(x), size)])


@pytest.mark.parametrize("in_place", [False, True])
@pytest.mark.parametrize("shape", [(6, 3, 4, 5), (6, 3), (4, 2, 3), (4,)])
def test_parts_of_the_batch_have_statistics_of_their_own(shape: tuple[int, ...], in_place: bool, device: str) -> None:
    x = values(*shape)
    run = run_layer(batch_norm("stats_batch_size: 2"), [x], in_place=in_place, dtype=np.float64, device=device)
    run.forward()
    assert run.top[0].data == pytest.approx(in_parts(x, 2))


def test_running_averages_take_in_one_part_after_the_other(device: str) -> None:
    options = batch_norm("stats_batch_size: 2 moving_average_fraction: 0.75")
    x = values(6, 3, 4, 4)
    parts = run_layer(options, [x], dtype=np.float64, device=device)
    parts.forward()
    whole = run_layer(batch_norm("moving_average_fraction: 0.75"), [x[:2]], dtype=np.float64, device=device)
    for begin in (0, 2, 4):
        whole.bottom[0].data[...] = x[begin : begin + 2]
        whole.forward()
    for one, other in zip(parts.blobs, whole.blobs, strict=True):
        assert one.data == pytest.approx(other.data)


def test_parts_that_do_not_fit_and_parts_that_do_not_matter(device: str) -> None:
    x = values(5, 3, 2, 2)
    with pytest.raises(ShapeError, match="a batch of 5 cannot be divided into parts of stats_batch_size, 2"):
        run_layer(batch_norm("stats_batch_size: 2"), [x], device=device)
    # With the statistics of training there is nothing to be divided.
    run = run_layer(batch_norm("stats_batch_size: 2"), [x], phase="TEST", parameters=STATISTICS, device=device)
    plain = run_layer(batch_norm(), [x], phase="TEST", parameters=STATISTICS, device=device)
    run.forward()
    plain.forward()
    assert np.array_equal(run.top[0].data, plain.top[0].data)


def test_a_net_has_one_size_for_all_of_them() -> None:
    layers = "".join(
        f'layer {{ name: "{name}" type: "BatchNorm" bottom: "x" top: "{name}" batch_norm_param {{ {options} }} }} '
        for name, options in (("a", ""), ("b", "stats_batch_size: 3"))
    )
    input_layer = 'layer { name: "in" type: "Input" top: "x" input_param { shape { dim: 6 dim: 3 } } } '
    net = bicerin.Net(f"bn_stats_batch_size: 2 {input_layer}{layers}", "TRAIN", dtype=np.float64)
    x = values(6, 3)
    tops = net.forward(x=x)
    assert tops["a"] == pytest.approx(in_parts(x, 2)) and tops["b"] == pytest.approx(in_parts(x, 2))
