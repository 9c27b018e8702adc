"""Every gradient against numeric differences."""

from collections.abc import Callable

import numpy as np
import pytest

from bicerin.testing import check_gradient

RANDOM = np.random.default_rng(5)


def scores(*shape: int) -> np.ndarray:
    return RANDOM.uniform(-2, 2, shape)


def labels(classes: int, *shape: int) -> np.ndarray:
    return RANDOM.integers(0, classes, shape).astype(float)


def distributions(number: int, classes: int) -> np.ndarray:
    rows = RANDOM.uniform(0.1, 1, (number, classes))
    return rows / rows.sum(axis=1, keepdims=True)


SOFTMAX = [
    ("", scores(3, 5)),
    ("", scores(2, 4, 3, 2)),
    ("softmax_param { axis: 0 engine: CUDNN }", scores(4)),
    ("softmax_param { axis: -1 }", scores(2, 3, 4)),
    ("softmax_param { axis: 1 }", scores(1, 1, 2)),
]


@pytest.mark.parametrize(("options", "x"), SOFTMAX)
def test_softmax(options: str, x: np.ndarray, device: str) -> None:
    check_gradient(f'type: "Softmax" {options}', [x], device=device)


LABEL_LOSSES = [
    (type_name, options, x, y)
    for type_name in ("SoftmaxWithLoss", "InfogainLoss")
    for options, x, y in [
        ("", scores(4, 5), labels(5, 4)),
        ("loss_weight: 2.5", scores(4, 5), labels(5, 4, 1, 1, 1)),
        ("loss_param { ignore_label: 1 }", scores(3, 3, 2, 2), labels(3, 3, 1, 2, 2)),
        ("loss_param { ignore_label: -1 normalization: FULL }", scores(2, 3, 2), np.array([[0, -1], [2, -1.0]])),
        ("loss_param { normalization: BATCH_SIZE }", scores(2, 3, 2), labels(3, 2, 2)),
        ("loss_param { normalization: NONE }", scores(1, 4), labels(4, 1)),
        ("softmax_param { axis: 2 } infogain_loss_param { axis: 2 }", scores(2, 3, 4), labels(4, 2, 3)),
        ('top: "loss" top: "probability"', scores(2, 3), labels(3, 2)),
    ]
]


@pytest.mark.parametrize(("type_name", "options", "x", "y"), LABEL_LOSSES)
def test_label_loss(type_name: str, options: str, x: np.ndarray, y: np.ndarray, device: str) -> None:
    inputs = [x, y]
    if type_name == "InfogainLoss":
        classes = x.shape[2 if "axis" in options else 1]
        inputs.append(RANDOM.uniform(0, 1, (1, 1, classes, classes)))
    check_gradient(f'type: "{type_name}" {options}', inputs, device=device)


def hinge_kink(x: np.ndarray) -> np.ndarray:
    return np.minimum(np.abs(x - 1), np.abs(x + 1))


LOSSES: list[tuple[str, list[np.ndarray], Callable | None]] = [
    ('type: "SoftmaxWithLoss" loss_param { normalize: false }', [scores(2, 3, 2), labels(3, 2, 2)], None),
    ('type: "EuclideanLoss"', [scores(4, 3), scores(4, 3)], None),
    ('type: "EuclideanLoss" loss_weight: 0.5', [scores(2, 3, 2), scores(2, 6)], None),
    ('type: "HingeLoss"', [scores(4, 5), labels(5, 4)], hinge_kink),
    ('type: "HingeLoss" hinge_loss_param { norm: L2 } loss_weight: 3', [scores(4, 5, 1, 1), labels(5, 4, 1)], None),
    ('type: "SigmoidCrossEntropyLoss"', [scores(3, 4), RANDOM.uniform(0, 1, (3, 4))], None),
    (
        'type: "SigmoidCrossEntropyLoss" loss_param { ignore_label: -1 normalization: VALID }',
        [scores(3, 2, 2), RANDOM.integers(-1, 2, (3, 2, 2))],
        None,
    ),
    ('type: "SigmoidCrossEntropyLoss" loss_param { normalize: true }', [scores(3, 2), labels(2, 3, 2)], None),
    ('type: "SigmoidCrossEntropyLoss" loss_param { normalization: FULL }', [scores(3, 2), labels(2, 3, 2)], None),
    ('type: "MultinomialLogisticLoss"', [distributions(4, 3), labels(3, 4)], None),
    ('type: "MultinomialLogisticLoss" loss_weight: 2', [distributions(4, 3), labels(3, 4, 1, 1, 1)], None),
    (
        'type: "ContrastiveLoss" contrastive_loss_param { margin: 9 legacy_version: true }',
        [scores(6, 3), scores(6, 3, 1, 1), labels(2, 6)],
        None,
    ),
]


@pytest.mark.parametrize(("definition", "inputs", "kink"), LOSSES, ids=[row[0] for row in LOSSES])
def test_loss(definition: str, inputs: list[np.ndarray], kink: Callable | None, device: str) -> None:
    check_gradient(definition, inputs, kink=kink, device=device)


@pytest.mark.parametrize("margin", [0.1, 3, 20])
def test_contrastive_loss(margin: float, device: str) -> None:
    # Caffe adds 1e-4 to the distance that the gradient is divided by, so it is that much too small.
    definition = f'type: "ContrastiveLoss" contrastive_loss_param {{ margin: {margin} }}'
    check_gradient(definition, [scores(6, 3), scores(6, 3), labels(2, 6)], tolerance=3e-4, device=device)
