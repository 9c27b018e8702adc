"""The losses and the choice of hard examples: options, values, errors."""

from __future__ import annotations

import numpy as np
import pytest

from bicerin.errors import LayerError, ShapeError
from bicerin.testing import run_layer

random = np.random.default_rng(0)
PREDICTION, TARGET, INSIDE, OUTSIDE = random.normal(size=(4, 6, 8))


def f(x: np.ndarray, sigma: float = 1.0) -> np.ndarray:
    return np.where(np.abs(x) < 1 / sigma**2, (sigma * x) ** 2 / 2, np.abs(x) - 0.5 / sigma**2)


@pytest.mark.parametrize("sigma", [1.0, 0.5, 3.0])
@pytest.mark.parametrize("weights", [0, 1, 2])
def test_smooth_l1(sigma: float, weights: int) -> None:
    text = f'type: "SmoothL1Loss" smooth_l1_loss_param {{ sigma: {sigma} }}'
    run = run_layer(text, [PREDICTION, TARGET, INSIDE, OUTSIDE][: 2 + weights], dtype=np.float64)
    difference = (PREDICTION - TARGET) * (INSIDE if weights else 1)
    loss = (f(difference, sigma) * (OUTSIDE if weights == 2 else 1)).sum() / 6
    assert np.isclose(run.forward(), loss, rtol=1e-12)


def test_smooth_l1_with_inside_weights_alone_has_the_gradient_of_the_forks() -> None:
    """They leave the weights out of the chain rule. Nets give 0 and 1, for which it is the true gradient."""
    run = run_layer('type: "SmoothL1Loss"', [PREDICTION, TARGET, INSIDE], dtype=np.float64)
    run.forward()
    run.top[0].diff[...] = 1
    run.backward()
    assert np.allclose(run.bottom[0].diff, np.clip(INSIDE * (PREDICTION - TARGET), -1, 1) / 6, rtol=1e-12)
    assert np.array_equal(run.bottom[1].diff, -run.bottom[0].diff)


def test_weights_pass_nothing_down() -> None:
    run = run_layer('type: "SmoothL1Loss"', [PREDICTION, TARGET, INSIDE, OUTSIDE])
    run.forward()
    run.bottom[3].diff.fill(4)
    run.backward([True, True, True, True])
    assert (run.bottom[3].diff == 0).all()


@pytest.mark.parametrize(("mode", "divisor"), [
    ("", 6), ("normalization: VALID", 6), ("normalization: FULL", 6), ("normalization: BATCH_SIZE", 6),
    ("normalization: NONE", 1), ("normalization: PRE_FIXED", 1),
    ("normalization: PRE_FIXED pre_fixed_normalizer: 128", 128), ("normalize: false", 6),
])  # fmt: skip
def test_smooth_l1_ohem(mode: str, divisor: float) -> None:
    text = f'type: "SmoothL1LossOHEM" loss_param {{ {mode} }}'
    run = run_layer(text, [PREDICTION, TARGET], tops=2, dtype=np.float64)
    each = f(PREDICTION - TARGET).sum(axis=1)
    assert np.isclose(run.forward(), each.sum() / divisor, rtol=1e-12)
    assert np.allclose(run.top[1].data, each.reshape(6, 1, 1, 1), rtol=1e-12)


@pytest.mark.parametrize(("mode", "divisor"), [
    ("", 4), ("normalization: FULL", 6), ("normalization: BATCH_SIZE", 6), ("normalization: NONE", 1),
    ("normalization: PRE_FIXED pre_fixed_normalizer: 9", 9), ("normalize: false", 6),
])  # fmt: skip
def test_softmax_ohem(mode: str, divisor: float) -> None:
    labels = np.array([0, 7, -1, 3, 3, -1])
    text = f'type: "SoftmaxWithLossOHEM" loss_param {{ ignore_label: -1 {mode} }}'
    run = run_layer(text, [PREDICTION, labels], tops=3, dtype=np.float64)
    probability = np.exp(PREDICTION) / np.exp(PREDICTION).sum(axis=1, keepdims=True)
    each = np.where(labels >= 0, -np.log(probability[np.arange(6), labels]), 0)
    assert np.isclose(run.forward(), each.sum() / divisor, rtol=1e-12)
    assert np.allclose(run.top[1].data, probability, rtol=1e-12)
    assert np.allclose(run.top[2].data, each, rtol=1e-12)


def test_softmax_ohem_of_an_impossible_class_is_bounded() -> None:
    run = run_layer('type: "SoftmaxWithLossOHEM"', [[[0.0, 1000.0]], [0]])
    assert np.isclose(run.forward(), -np.log(np.finfo(np.float32).tiny))


def annotate(options: str, image: list[int], loss: list[float], device: str) -> tuple[np.ndarray, np.ndarray]:
    number = len(image)
    regions = np.zeros((number, 5))
    regions[:, 0] = image
    inputs = [regions, loss, np.arange(number) + 1, np.arange(4 * number).reshape(number, 4) + 1]
    run = run_layer(f'type: "BoxAnnotatorOHEM" box_annotator_ohem_param {{ {options} }}', inputs, device=device)
    run.forward()
    assert run.top[0].shape == (number, 1, 1, 1) and run.top[1].shape == (number, 4, 1, 1)
    return run.top[0].data.reshape(-1), run.top[1].data.reshape(number, 4)


@pytest.mark.parametrize(("options", "labels"), [
    ("roi_per_img: 1", [-1, 2, -1, 4, -1]),
    ("roi_per_img: 2", [-1, 2, 3, 4, 5]),
    ("roi_per_img: 2 ignore_label: 255", [255, 2, 3, 4, 5]),
    ("roi_per_img: 128", [1, 2, 3, 4, 5]),
])  # fmt: skip
def test_the_regions_of_greatest_loss_are_kept(options: str, labels: list[int], device: str) -> None:
    kept, weights = annotate(options, [1, 1, 0, 0, 1], [0.1, 5, 0.3, 2, 0.4], device)
    assert kept.tolist() == labels
    ignored = 255 if "255" in options else -1
    assert ((weights != 0).all(axis=1) == (kept != ignored)).all() and (weights[kept == ignored] == 0).all()


def test_of_equal_losses_the_first_are_kept(device: str) -> None:
    assert annotate("roi_per_img: 2", [0, 0, 0], [1, 1, 1], device)[0].tolist() == [1, 2, -1]


def test_a_loss_of_nan_comes_last(device: str) -> None:
    assert annotate("roi_per_img: 2", [0, 0, 0], [np.nan, 1, np.nan], device)[0].tolist() == [1, 2, -1]


@pytest.mark.parametrize("shape", [(0, 1, 1), (150, 1, 1), (3, 9, 11)])
def test_a_device_keeps_the_same_regions(shape: tuple[int, int, int], device: str) -> None:
    """Of many, with equal losses among them."""
    number, height, width = shape
    generator = np.random.default_rng(4)
    regions = generator.integers(0, 4, (number, 5, height, width))
    loss = generator.integers(0, 60, (number, 1, height, width)) / 8
    label, weight = (generator.integers(1, 9, (number, channels, height, width)) for channels in (1, 8))
    text = 'type: "BoxAnnotatorOHEM" box_annotator_ohem_param { roi_per_img: 20 ignore_label: -7 }'
    tops = []
    for where in ("cpu", device):
        run = run_layer(text, [regions, loss, label, weight], device=where)
        run.forward()
        tops.append([blob.read_only.data for blob in run.top])
    assert all(map(np.array_equal, *tops))
    assert (tops[0][0] != -7).sum() == (80 if number else 0)


def test_places_of_maps_are_regions_too(device: str) -> None:
    regions, loss = np.zeros((1, 5, 2, 2)), np.array([[[[1, 4], [3, 2.0]]]])
    weights = np.arange(8).reshape(1, 2, 2, 2) + 1
    text = 'type: "BoxAnnotatorOHEM" box_annotator_ohem_param { roi_per_img: 2 }'
    run = run_layer(text, [regions, loss, np.ones((1, 1, 2, 2)), weights], device=device)
    run.forward()
    assert run.top[0].data.tolist() == [[[[-1, 1], [1, -1]]]]
    assert run.top[1].data.tolist() == [[[[0, 2], [3, 0]], [[0, 6], [7, 0]]]]


@pytest.mark.parametrize(("text", "shapes", "error", "words"), [
    ('type: "SmoothL1Loss"', [(2, 3), (3, 3)], ShapeError, "same first dimension"),
    ('type: "SmoothL1Loss"', [(2, 3), (2, 4)], ShapeError, "in1 has channels 4, but in0 has 3"),
    ('type: "SmoothL1Loss"', [(2, 3), (2, 3), (2, 1)], ShapeError, "in2 has channels 1, but in0 has 3"),
    ('type: "SmoothL1Loss" smooth_l1_loss_param { sigma: 0 }', [(2, 3), (2, 3)], LayerError, "sigma must not be 0"),
    ('type: "SmoothL1LossOHEM"', [(2, 3), (2, 3, 2)], ShapeError, "in1 has height 2, but in0 has 1"),
    ('type: "SoftmaxWithLossOHEM"', [(2, 3), (3,)], ShapeError, "first dimension"),
    ('type: "SoftmaxWithLossOHEM"', [(2, 3), (2, 2)], ShapeError, "4 against 2"),
    ('type: "BoxAnnotatorOHEM"', [(2, 5), (2,), (2,), (2, 8)], LayerError, "roi_per_img must be > 0"),
    ('type: "BoxAnnotatorOHEM" box_annotator_ohem_param { roi_per_img: 1 }', [(2, 5), (2,), (3,), (2, 8)], ShapeError,
     r"in2 must have the shape \(2, 1, 1, 1\)"),
    ('type: "BoxAnnotatorOHEM" box_annotator_ohem_param { roi_per_img: 1 }', [(2, 4), (2,), (2,), (2, 8)], ShapeError,
     r"in0 must have the shape \(2, 5, 1, 1\)"),
])  # fmt: skip
def test_errors(text: str, shapes: list[tuple[int, ...]], error: type, words: str) -> None:
    with pytest.raises(error, match=words):
        run_layer(text, [np.zeros(shape) for shape in shapes])


@pytest.mark.parametrize("label", [-1, 3, np.nan])
def test_labels_out_of_range(label: float, device: str) -> None:
    run = run_layer('type: "SoftmaxWithLossOHEM"', [np.zeros((2, 3)), [0, label]], device=device)
    with pytest.raises(LayerError, match=f"label {label:g} is out of range; 1 of 2 are"):
        run.forward()
