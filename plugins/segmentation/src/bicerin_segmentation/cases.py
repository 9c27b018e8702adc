"""The cases that prove the layers: for the tests, and for `bicerin plugins check bicerin-segmentation`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from bicerin.testing import LayerCase, layer_case

UNPOOLING = [
    layer_case(name, f'type: "UnPooling" unpooling_param {{ {options} }}', [(2, 3, 4, 3)])
    for name, options in [
        ("fixed", "out_kernel_size: 2 out_stride: 2"),
        ("fixed_odd", "unpool: FIXED out_kernel_h: 3 out_kernel_w: 4 out_stride: 2 out_pad: 1"),
        ("in_one_place", "out_kernel_size: 5 out_stride: 1 out_pad: 3"),
        ("rep", "unpool: REP out_kernel_size: 2 out_stride: 2"),
        ("rep_overlapping", "unpool: REP out_kernel_size: 4 out_stride_h: 2 out_stride_w: 3 out_pad_h: 1 out_pad_w: 0"),
        ("rep_apart", "unpool: REP out_kernel_size: 2 out_stride: 3"),
        ("div", "unpool: DIV out_kernel_size: 3 out_stride: 2 out_pad: 1"),
    ]
]  # fmt: skip
UNPOOLING += [
    layer_case("like_another", 'type: "UnPooling" unpooling_param { unpool: REP }', [(2, 3, 3, 2), (2, 1, 6, 5)],
               batched=(0, 1), check_bottom=(0,)),
    layer_case("values", 'type: "UnPooling" unpooling_param { unpool: DIV out_kernel_size: 2 out_stride: 1 }',
               [np.array([[[[4.0, 8.0]]]])],
               expected=[np.array([[[[1.0, 1.5, 2.0], [1.0, 1.5, 2.0]]]])]),
]  # fmt: skip


def picture(*shape: int) -> Callable[[np.random.Generator], np.ndarray]:
    """A function that makes values of pixels."""
    return lambda random: random.integers(0, 256, shape)


def meanfield(name: str, options: str, shape: tuple[int, ...], channels: int, parameters: Any = ()) -> LayerCase:
    """A case with a picture of so many channels."""
    return layer_case(
        name,
        f'type: "MultiStageMeanfield" multi_stage_meanfield_param {{ {options} }}',
        [shape, shape, picture(shape[0], channels, *shape[2:])],
        batched=(0, 1, 2),
        check_bottom=(0, 1),
        parameters=parameters,
        without={"copies": "how many points a picture's lattice has, the host must know"},
    )


MATRICES = [np.random.default_rng(index).normal(size=(1, 1, 3, 3)) for index in range(3)]

MULTI_STAGE_MEANFIELD = [
    meanfield("two", "theta_alpha: 5 theta_beta: 60 theta_gamma: 2 num_iterations: 2", (2, 3, 5, 4), 3),
    meanfield("weights", "theta_alpha: 2 theta_beta: 90 theta_gamma: 1.5 num_iterations: 3 spatial_filter_weight: 0.5 "
              "bilateral_filter_weight: 2", (1, 4, 3, 5), 3),
    meanfield("matrices", "theta_alpha: 3 theta_beta: 30 theta_gamma: 3 num_iterations: 2", (2, 3, 4, 4), 1, MATRICES),
    meanfield("one_class", "theta_alpha: 3 theta_beta: 30 theta_gamma: 3 num_iterations: 1", (1, 1, 2, 3), 3),
]  # fmt: skip


def labels(classes: int, *shape: int) -> Callable[[np.random.Generator], np.ndarray]:
    """A function that makes labels."""
    return lambda random: random.integers(0, classes, shape)


SEG_ACCURACY = [
    layer_case("classes", 'type: "SegAccuracy"', [(2, 4, 3, 5), labels(4, 2, 1, 3, 5)], gradient=False, batched=(0, 1)),
    layer_case("ignored", 'type: "SegAccuracy" seg_accuracy_param { ignore_label: 3 ignore_label: 1 }',
               [(2, 3, 3, 5), labels(4, 2, 1, 3, 5)], gradient=False, batched=(0, 1)),
    layer_case("values", 'type: "SegAccuracy" seg_accuracy_param { ignore_label: 255 }',
               [np.array([[[[1, 1, 0, 0, 1.0]], [[0, 0, 2, 1, 0]], [[0, 0, 0, 0, 0]]]]),
                np.array([[[[0, 1, 1, 1, 255]]]])],
               expected=[np.array([3 / 4, (1 + 2 / 3) / 2, (1 / 2 + 2 / 3 + 1) / 3]).reshape(1, 1, 1, 3)],
               gradient=False, batched=(0, 1)),
    layer_case("one_channel", 'type: "SegAccuracy"',
               [np.array([[[[0.2, 0.7], [0.9, 0.5]]]]), np.array([[[[0, 1], [0, 1]]]])],
               expected=[np.array([1 / 2, 1 / 2, 1 / 3]).reshape(1, 1, 1, 3)], gradient=False, batched=(0, 1)),
]  # fmt: skip

AUTO_CROP = [
    layer_case("as_it_says", 'type: "AutoCrop" crop_param { offset: 1 offset: 2 }', [(2, 3, 5, 6), (1, 2, 3, 4)]),
    layer_case("unaligned", 'type: "AutoCrop"', [(2, 1, 4, 5), (1, 1, 3, 2)]),
]

PARSE_OUTPUT = [
    layer_case("both", 'type: "ParseOutput"', [(2, 4, 3, 5)], tops=2, gradient=False),
    layer_case("values", 'type: "ParseOutput"', [np.array([[[[1.0, 2, 0]], [[2, 2, -1]], [[0, 1, -1]]]])], tops=2,
               expected=[np.array([[[[1.0, 0, 0]]]]), np.array([[[[2.0, 2, 0]]]])], gradient=False),
]  # fmt: skip

PARSE_EVALUATE = [
    layer_case("ignored", 'type: "ParseEvaluate" parse_evaluate_param { num_labels: 4 ignore_label: [255, 1] }',
               [labels(4, 2, 1, 3, 5), lambda random: random.choice([0, 1, 2, 3, 255], (2, 1, 3, 5))],
               gradient=False, batched=(0, 1)),
    layer_case("values", 'type: "ParseEvaluate" parse_evaluate_param { num_labels: 3 }',
               [np.array([[[[0, 1, 1, 0, 0.0]]]]), np.array([[[[0, 1, 2, 2, 0.0]]]])],
               expected=[np.array([[2, 2, 3], [1, 1, 2], [0, 2, 0.0]]).reshape(1, 3, 1, 3)],
               gradient=False, batched=(0, 1)),
]  # fmt: skip


def dice(name: str, options: str, shape: tuple[int, ...], gradient: bool = True) -> LayerCase:
    """A case with probabilities; a gradient that is exact is that of one item."""
    return layer_case(
        name,
        f'type: "DiceCoefLoss" dice_coef_loss_param {{ {options} }}',
        [lambda random: random.dirichlet(np.ones(shape[1]), (shape[0], *shape[2:])).transpose(0, 3, 1, 2),
         labels(shape[1], shape[0], 1, *shape[2:])],
        batched=(0, 1),
        check_bottom=(0,),
        gradient=gradient,
        without={"batch_sizes": "weights and s are of the whole batch"},
    )  # fmt: skip


DICE_COEF_LOSS = [
    dice("plain", "", (1, 3, 3, 4)),
    dice("weighted", "generalization: MULTICLASS_WEIGHTED", (1, 3, 3, 4)),
    dice("by_batch", "generalization: MULTICLASS_WEIGHTED_BATCH weight_mode: EQUALIZE_CLASSES", (1, 3, 3, 4)),
    dice("ignored", "generalization: MULTICLASS ignore_label: 1", (3, 3, 2, 4), gradient=False),
]

UNPOOLING_OF_DECONVNET = [
    layer_case("corner", 'type: "Unpooling" unpooling_param { kernel_size: 2 stride: 2 unpool_size: 5 }',
               [(2, 3, 3, 4)]),
    layer_case("average", 'type: "Unpooling" unpooling_param { unpool: AVE kernel_h: 3 kernel_w: 2 stride: 2 '
               "unpool_h: 6 unpool_w: 9 }", [(2, 3, 3, 4)]),
    layer_case("tile", 'type: "Unpooling" unpooling_param { unpool: TILE kernel_size: 3 stride: 2 unpool_size: 7 }',
               [(2, 3, 3, 3)], gradient=False),
    layer_case("mask", 'type: "Unpooling" unpooling_param { unpool: MAX kernel_size: 2 stride: 2 unpool_size: 4 }',
               [(2, 2, 2, 2), np.array([[[[0, 3], [9, 14]], [[5, 2], [12, 11.0]]]] * 2)], batched=(0, 1),
               check_bottom=(0,)),
]  # fmt: skip

CASES = (
    UNPOOLING
    + PARSE_OUTPUT
    + PARSE_EVALUATE
    + DICE_COEF_LOSS
    + UNPOOLING_OF_DECONVNET
    + MULTI_STAGE_MEANFIELD
    + SEG_ACCURACY
    + AUTO_CROP
)
