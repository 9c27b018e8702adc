"""The cases that prove the layers: for the tests, and for `bicerin plugins check bicerin-loss`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from bicerin.testing import layer_case

Make = Callable[[np.random.Generator], np.ndarray]


def scores(*shape: int) -> Make:
    return lambda random: random.uniform(-2, 2, shape)


def shares(*shape: int) -> Make:
    """Values from 0 to 1."""
    return lambda random: random.uniform(0, 1, shape)


def labels(classes: int, *shape: int, least: int = 0) -> Make:
    return lambda random: random.integers(least, classes, shape)


def distributions(number: int, classes: int) -> Make:
    def make(random: np.random.Generator) -> np.ndarray:
        rows = random.uniform(0.1, 1, (number, classes))
        return np.asarray(rows / rows.sum(axis=1, keepdims=True))

    return make


SOFTMAX = [
    layer_case(name, f'type: "Softmax" {options}', [scores(*shape)])
    for name, options, shape in [
        ("rows", "", (3, 5)),
        ("maps", "", (2, 4, 3, 2)),
        ("first_axis", "softmax_param { axis: 0 engine: CUDNN }", (4,)),
        ("last_axis", "softmax_param { axis: -1 }", (2, 3, 4)),
        ("one_channel", "softmax_param { axis: 1 }", (1, 1, 2)),
        ("warm", "softmax_param { scaling_temperature: 2.5 }", (2, 3, 2)),
    ]
]

LABEL_ROWS: list[tuple[str, str, Make, Any, int]] = [
    ("rows", "", scores(4, 5), labels(5, 4), 5),
    ("weighted", "loss_weight: 2.5", scores(4, 5), labels(5, 4, 1, 1, 1), 5),
    ("ignored", "loss_param { ignore_label: 1 }", scores(3, 3, 2, 2), labels(3, 3, 1, 2, 2), 3),
    (
        "ignored_full",
        "loss_param { ignore_label: -1 normalization: FULL }",
        scores(2, 3, 2),
        np.array([[0, -1], [2, -1]]),
        3,
    ),
    ("batch_size", "loss_param { normalization: BATCH_SIZE }", scores(2, 3, 2), labels(3, 2, 2), 3),
    ("sum", "loss_param { normalization: NONE }", scores(1, 4), labels(4, 1), 4),
    (
        "axis",
        "softmax_param { axis: 2 } infogain_loss_param { axis: 2 }",
        scores(2, 3, 4),
        labels(4, 2, 3),
        4,
    ),
    ("probability", 'top: "loss" top: "probability"', scores(2, 3), labels(3, 2), 3),
]

SOFTMAX_WITH_LOSS = [
    *[layer_case(name, f'type: "SoftmaxWithLoss" {options}', [x, y]) for name, options, x, y, _ in LABEL_ROWS],
    layer_case(
        "not_normalized",
        'type: "SoftmaxWithLoss" loss_param { normalize: false }',
        [scores(2, 3, 2), labels(3, 2, 2)],
    ),
    layer_case(
        "class_weights",
        'type: "SoftmaxWithLoss" loss_param { weight_by_label_freqs: true class_weighting: [0.5, 2, 1] '
        "ignore_label: 1 }",
        [scores(4, 3, 2), labels(3, 4, 2)],
    ),
    layer_case(
        "label_weights",
        'type: "SoftmaxWithLoss" top: "loss" top: "probability" top: "each" loss_weight: 1 loss_weight: 0 '
        "loss_weight: 0 loss_param { ignore_label: 1 }",
        [scores(3, 3, 2), labels(3, 3, 2), lambda random: random.uniform(0, 2, (3, 2))],
    ),
    layer_case(
        "label_and_class_weights",
        'type: "SoftmaxWithLoss" softmax_param { class_weight: [0.5, 2, 1] } loss_param { normalization: BATCH_SIZE }',
        [scores(4, 3), labels(3, 4), lambda random: random.uniform(0, 2, 4)],
    ),
    # The loss leaves out what the gradient has.
    layer_case(
        "label_smoothing",
        'type: "SoftmaxWithLoss" loss_param { label_smoothing: 0.1 }',
        [scores(4, 3), labels(3, 4)],
        gradient=False,
    ),
]

# The weights are one for each item.
WEIGHTED_SOFTMAX_WITH_LOSS = [
    layer_case(name, f'type: "WeightedSoftmaxWithLoss" {options}', [x, y, weights], batched=[0, 1, 2])
    for name, options, x, y, weights in [
        ("rows", "", scores(4, 5), labels(5, 4), np.array([0.5, 0, 2, 1])),
        ("none", "", scores(2, 3), labels(3, 2), np.zeros(2)),
        ("maps", "loss_param { ignore_label: 1 }", scores(3, 3, 2), labels(3, 3, 2), shares(3)),
        ("batch", "loss_param { normalization: BATCH_SIZE }", scores(3, 3, 2), labels(3, 3, 2), shares(3)),
    ]
]

# The gradient is that of the loss divided by the number of classes.
MULTICLASS_CROSS_ENTROPY_LOSS = [
    layer_case(
        name,
        f'type: "MulticlassCrossEntropyLoss" {options}',
        [lambda random, shape=shape: random.uniform(0.1, 0.9, shape), labels(2, *shape)],
        without={"gradients": "as in the fork, the gradient is divided by the number of classes as well"},
    )
    for name, options, shape in [("rows", "", (3, 4)), ("weighted", "loss_weight: 2", (1, 5, 1, 1))]
]

INFOGAIN_LOSS = [
    layer_case(name, f'type: "InfogainLoss" {options}', [x, y, shares(1, 1, classes, classes)], batched=[0, 1])
    for name, options, x, y, classes in LABEL_ROWS
]

EUCLIDEAN_LOSS = [
    layer_case("rows", 'type: "EuclideanLoss"', [(4, 3), (4, 3)]),
    layer_case("other_axes", 'type: "EuclideanLoss" loss_weight: 0.5', [(2, 3, 2), (2, 6)]),
]

HINGE_LOSS = [
    layer_case(
        "l1",
        'type: "HingeLoss"',
        [scores(4, 5), labels(5, 4)],
        kink=lambda x: np.minimum(np.abs(x - 1), np.abs(x + 1)),
    ),
    layer_case(
        "l2", 'type: "HingeLoss" hinge_loss_param { norm: L2 } loss_weight: 3', [scores(4, 5, 1, 1), labels(5, 4, 1)]
    ),
]

SIGMOID_CROSS_ENTROPY_LOSS = [
    layer_case(name, f'type: "SigmoidCrossEntropyLoss" {options}', [x, y])
    for name, options, x, y in [
        ("rows", "", scores(3, 4), shares(3, 4)),
        (
            "ignored",
            "loss_param { ignore_label: -1 normalization: VALID }",
            scores(3, 2, 2),
            labels(2, 3, 2, 2, least=-1),
        ),
        ("normalized", "loss_param { normalize: true }", scores(3, 2), labels(2, 3, 2)),
        ("full", "loss_param { normalization: FULL }", scores(3, 2), labels(2, 3, 2)),
    ]
]

SIGMOID_CROSS_ENTROPY_LOSS += [
    layer_case(
        "weights",
        'type: "SigmoidCrossEntropyLoss" loss_param { ignore_label: -1 }',
        [scores(3, 2, 2), labels(2, 3, 2, 2, least=-1), lambda random: random.uniform(0, 2, (3, 2, 2))],
    ),
    layer_case("no_weight", 'type: "SigmoidCrossEntropyLoss"', [scores(3, 2), shares(3, 2), np.zeros((3, 2))]),
]

# The gradient is divided by N, the loss by the number of known targets.
MULTI_LABEL_SIGMOID_LOSS = [
    layer_case("unknown", 'type: "MultiLabelSigmoidLoss"', [scores(3, 4), labels(2, 3, 4, least=-1)], gradient=False)
]

MULTI_LABEL_ACCURACY = [
    layer_case("unknown", 'type: "MultiLabelAccuracy"', [scores(6, 4), labels(2, 6, 4, least=-1)], gradient=False),
    layer_case("none", 'type: "MultiLabelAccuracy"', [scores(2, 3), -np.ones((2, 3))], gradient=False),
]

MULTINOMIAL_LOGISTIC_LOSS = [
    layer_case("rows", 'type: "MultinomialLogisticLoss"', [distributions(4, 3), labels(3, 4)]),
    layer_case(
        "weighted", 'type: "MultinomialLogisticLoss" loss_weight: 2', [distributions(4, 3), labels(3, 4, 1, 1, 1)]
    ),
]

# Without legacy_version, Caffe's gradient is 1e-4 off; the tests allow for it.
CONTRASTIVE_LOSS = [
    layer_case(
        "legacy",
        'type: "ContrastiveLoss" contrastive_loss_param { margin: 9 legacy_version: true }',
        [scores(6, 3), scores(6, 3, 1, 1), labels(2, 6)],
    ),
]

ACCURACY = [
    layer_case(name, f'type: "Accuracy" {options}', [x, y], gradient=False)
    for name, options, x, y in [
        ("rows", "", scores(4, 5), labels(5, 4)),
        ("top_2", "accuracy_param { top_k: 2 ignore_label: 1 }", scores(4, 5), labels(5, 4)),
        ("maps", "", scores(2, 3, 2, 2), labels(3, 2, 2, 2)),
        ("classes", 'top: "all" top: "each"', scores(4, 3), np.array([0, 1, 2, 2])),
        ("least", "accuracy_param { min_is_better: true top_k: 2 }", scores(6, 4), labels(4, 6)),
    ]
]

CASES = [
    *SOFTMAX,
    *SOFTMAX_WITH_LOSS,
    *WEIGHTED_SOFTMAX_WITH_LOSS,
    *MULTICLASS_CROSS_ENTROPY_LOSS,
    *INFOGAIN_LOSS,
    *EUCLIDEAN_LOSS,
    *HINGE_LOSS,
    *SIGMOID_CROSS_ENTROPY_LOSS,
    *MULTI_LABEL_SIGMOID_LOSS,
    *MULTI_LABEL_ACCURACY,
    *MULTINOMIAL_LOGISTIC_LOSS,
    *CONTRASTIVE_LOSS,
    *ACCURACY,
]
