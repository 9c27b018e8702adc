"""The cases that prove the layers: for the tests, and for `bicerin plugins check bicerin-face`."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from bicerin.testing import LayerCase, layer_case

Make = Callable[[np.random.Generator], np.ndarray]

FILLED = 'weight_filler { type: "gaussian" std: 0.7 }'
CENTERS = 'center_filler { type: "gaussian" std: 0.7 }'
MOVES = {"gradients": "centers are moved by a rule that is not the loss's gradient"}
PULLS = {"gradients": "the own class is pulled once, however many others are too near"}
DIVIDED = {
    "forward": "the weights are divided by their length, in the blob",
    "reshape_twice": "and at each pass again",
}
NOT_EXACT = {**DIVIDED, "gradients": "the fork's gradients are those without the margin, and one of unit length"}


def labels(number: int, classes: int) -> Make:
    """A function that makes a label for each item."""
    return lambda random: random.integers(0, classes, number)


def between(low: float, high: float, *shape: int) -> Make:
    """A function that makes numbers of a range."""
    return lambda random: random.uniform(low, high, shape)


CENTER_LOSS = [
    layer_case("plain", f'type: "CenterLoss" loss_weight: 0.5 center_loss_param {{ num_output: 4 {CENTERS} }}',
               [(6, 5), labels(6, 4)], batched=[0, 1], without=MOVES),
    layer_case("maps", 'type: "CenterLoss" loss_weight: 1 center_loss_param { num_output: 3 distance_type: "L2" '
               f"{CENTERS} }}", [(4, 2, 3, 2), labels(4, 3)], batched=[0, 1], without=MOVES),
    layer_case("l1", f'type: "CenterLoss" loss_weight: 1 center_loss_param {{ num_output: 3 distance_type: "L1" '
               f"{CENTERS} }}", [(4, 3), labels(4, 3)], batched=[0, 1], without=MOVES),
]  # fmt: skip

TRIPLET_LOSS = [
    layer_case("plain", 'type: "TripletLoss"', [(5, 4), (5, 4), (5, 4)], batched=[0, 1, 2]),
    layer_case("margin", 'type: "TripletLoss" loss_weight: 2 triplet_loss_param { margin: 5 }',
               [(3, 2, 2), (3, 2, 2), (3, 2, 2)], batched=[0, 1, 2]),
]  # fmt: skip

GENERAL_CONTRASTIVE_LOSS = [
    layer_case(name, f'type: "GeneralContrastiveLoss" general_contrastive_loss_param {{ {options} }}',
               [between(0, 2, 5, 4), labels(5, 4)], batched=[0, 1])
    for name, options in [
        ("plain", ""),
        ("margins", "positive_margin: 0.3 negative_margin: 1.5 positive_weight: 2 negative_weight: 0.5"),
        ("hardest", "max_negative_only: true negative_margin: 1.8"),
        ("exp", "exp_negative_weight: true"),
        ("first", "positive_first: true positive_upper_bound: 0.9"),
    ]
]  # fmt: skip

GENERAL_TRIPLET_LOSS = [
    layer_case(name, f'type: "GeneralTripletLoss" general_triplet_loss_param {{ {options} }}',
               [between(0, 1, 5, 4), labels(5, 4)], batched=[0, 1], without=PULLS)
    for name, options in [("plain", ""), ("hardest", "hardest_only: true margin: 0.4"),
                          ("no_center", "add_center_loss: false positive_weight: 2")]
] + [
    layer_case("weighted", 'type: "GeneralTripletLoss"', [between(0, 1, 5, 4), labels(5, 4), between(0, 2, 5)],
               batched=[0, 1, 2], without=PULLS),
]  # fmt: skip

FOCAL_LOSS = [
    layer_case(name, f'type: "FocalLoss" {options}', [(4, 3, 2), lambda random: random.integers(0, 3, (4, 2))],
               batched=[0, 1])
    for name, options in [
        ("plain", ""),
        ("gamma", "focal_loss_param { gamma: 0.5 alpha: 1 }"),
        ("plus", "focal_loss_param { type: ONEADDP gamma: 3 }"),
        ("balanced", "focal_loss_param { balanced: true }"),
        ("ignore", "focal_loss_param { alpha: 0.5 } loss_param { ignore_label: 1 normalization: FULL }"),
    ]
]  # fmt: skip

MARGIN_INNER_PRODUCT = [
    layer_case("plain", f'type: "MarginInnerProduct" margin_inner_product_param {{ num_output: 4 {FILLED} '
               "type: QUADRUPLE base: 5 }", [(5, 6), labels(5, 4)], batched=[0, 1], without=NOT_EXACT),
    layer_case("single", f'type: "MarginInnerProduct" margin_inner_product_param {{ num_output: 3 {FILLED} }}',
               [(4, 2, 3), labels(4, 3)], tops=2, batched=[0, 1], without=NOT_EXACT),
]  # fmt: skip

LARGE_MARGIN_INNER_PRODUCT = [
    layer_case(kind.lower(), 'type: "LargeMarginInnerProduct" largemargin_inner_product_param { num_output: 4 '
               f"{FILLED} type: {kind} base: 3 }}", [(5, 6), labels(5, 4)], batched=[0, 1])
    for kind in ("SINGLE", "DOUBLE", "TRIPLE", "QUADRUPLE")
] + [
    layer_case("weights", 'type: "LargeMarginInnerProduct" largemargin_inner_product_param { type: DOUBLE }',
               [(5, 6), labels(5, 4), (4, 6)], batched=[0, 1], check_bottom=[0, 2]),
]  # fmt: skip

INNER_DISTANCE = [
    layer_case("plain", f'type: "InnerDistance" inner_distance_param {{ num_output: 4 {FILLED} }}', [(3, 2, 3)]),
    layer_case("l1", f'type: "InnerDistance" inner_distance_param {{ num_output: 4 distance_type: "L1" {FILLED} }}',
               [(3, 5)]),
    layer_case("two", 'type: "InnerDistance"', [(3, 5), (4, 5)], batched=[0]),
    layer_case("normalized", f'type: "InnerDistance" inner_distance_param {{ num_output: 4 normalize: true {FILLED} }}',
               [(3, 5)], without={**DIVIDED, "gradients": "that of the weights leaves out that they are divided"}),
    layer_case("by_label", "type: \"InnerDistance\" inner_distance_param { num_output: 4 update_center_only: true "
               f"{FILLED} }}", [(5, 3), labels(5, 4)], batched=[0, 1],
               without={"gradients": "weights take that of the items of their class alone"}),
]  # fmt: skip

LABEL_SPECIFIC_ADD = [
    layer_case("plain", 'type: "LabelSpecificAdd" label_specific_add_param { bias: -0.35 }', [(5, 4), labels(5, 4)],
               batched=[0, 1]),
    layer_case("test", 'type: "LabelSpecificAdd" label_specific_add_param { bias: -0.35 }', [(5, 4), labels(5, 4)],
               batched=[0, 1], phase="TEST"),
    layer_case("annealed", 'type: "LabelSpecificAdd" label_specific_add_param { bias_base: 0.5 bias_max: 3 }',
               [(5, 4), labels(5, 4)], tops=2, batched=[0, 1], check_bottom=[0]),
]  # fmt: skip

LABEL_SPECIFIC_RESCALE = [
    layer_case(name, f'type: "LabelSpecificRescale" label_specific_rescale_param {{ {options} }}',
               [between(0.2, 2, 5, 4), labels(5, 4)], batched=[0, 1], tops=tops, phase=phase, check_bottom=[0])
    for name, options, tops, phase in [
        ("plain", "positive_weight: 0.7 negative_weight: 1.3", 1, "TRAIN"),
        ("power", "positive_weight: 1.5 power_on_positive: true", 1, "TRAIN"),
        ("bias_fix", "positive_weight: 2 for_ip: true bias_fix: true", 2, "TRAIN"),
        ("annealed", "positive_weight_base: 3 positive_weight_max: 2", 2, "TRAIN"),
        ("test", "positive_weight: 0.7", 1, "TEST"),
        ("rescale_test", "positive_weight: 0.7 rescale_test: true", 1, "TEST"),
    ]
]  # fmt: skip

MARGIN_MOVES = {
    "forward": "the margin, a blob, follows that of the batch",
    "reshape_twice": "and so it does at each pass",
    "propagate_down": "and so it does at each pass",
    "gradients": "they take the margin as given, which follows the scores",
    "rows": "NaN aside, margins are summed in another order, and the window of a mode has an edge",
}

GLOBAL_LSE_MARGIN = [
    layer_case("plain", 'type: "GlobalLSEMargin" scale_param { filler { type: "constant" value: 4 } max_value: 3 }',
               [between(-1, 1, 6, 5), labels(6, 5)], batched=[0, 1], tops=2, without=MARGIN_MOVES),
    layer_case("norms", 'type: "GlobalLSEMargin"', [between(-1, 1, 6, 5), labels(6, 5), between(1, 3, 6)],
               batched=[0, 1, 2], without=MARGIN_MOVES),
]  # fmt: skip

FIXED = "param { lr_mult: 0 } "
LABELED_MATCHING = [
    layer_case(name, f'type: "LabeledMatching" {FIXED}labeled_matching_param {{ num_classes: 3 }}',
               [shape, np.array([0, 2, -1, 3])], batched=[0, 1],
               parameters=[np.arange(3.0 * features).reshape(3, features) / 7, np.zeros(3)], check_bottom=[0])
    for name, shape, features in [("plain", (4, 5), 5), ("maps", (4, 2, 3), 6)]
]  # fmt: skip

UNLABELED_MATCHING = [
    layer_case("plain", f'type: "UnlabeledMatching" {FIXED}unlabeled_matching_param {{ queue_size: 3 }}',
               [(4, 5), np.array([-1, 2, -1, 0])], batched=[0, 1],
               parameters=[np.arange(15.0).reshape(3, 5) / 7], check_bottom=[0]),
]  # fmt: skip

CHANNEL_SCALE = [
    layer_case("plain", 'type: "ChannelScale"', [(3, 4, 2, 2), (3, 1, 2, 2)]),
    layer_case("items", 'type: "ChannelScale"', [(3, 4), (3, 1)]),
    layer_case("places", 'type: "ChannelScale"', [(3, 3, 2, 2), (3, 2, 2)]),
    layer_case("global", 'type: "ChannelScale" channel_scale_param { global_scale: true init_global_scale: 5 '
               "max_global_scale: 3 }", [(3, 4), (3, 1)], tops=2,
               without={"gradients": "they are those of a scale for each place"}),
    layer_case("as_it_is", 'type: "ChannelScale" channel_scale_param { do_forward: false do_backward_feature: false '
               "do_backward_scale: false }", [(3, 4), (3, 1)]),
]  # fmt: skip

FLIP = [
    layer_case(name, f'type: "Flip" flip_param {{ {options} }}', [(2, 3, 4, 5)])
    for name, options in [
        ("plain", ""),
        ("height", "flip_width: false flip_height: true"),
        ("both", "flip_height: true"),
    ]
]

PAIRWISE = [
    layer_case("sum", 'type: "Pairwise" pairwise_param { coeff: 1 coeff: -2 }', [(3, 4), (2, 4)], batched=[0]),
    layer_case("product", 'type: "Pairwise" pairwise_param { operation: PROD }', [(3, 4), (2, 4)], batched=[0]),
    layer_case("max", 'type: "Pairwise" pairwise_param { operation: MAX }', [(3, 4), (2, 4)], batched=[0]),
]

GRAM = [layer_case("plain", 'type: "Gram"', [(2, 3, 4, 5)]), layer_case("vector", 'type: "Gram"', [(3, 2)])]

SLOPE = [layer_case("plain", 'type: "Slope"', [(2, 3, 4, 5)])]

TRUNCATION = [
    layer_case("plain", 'type: "Truncation" truncation_param { lower_bound: -0.5 upper_bound: 0.7 }', [(3, 4, 5)],
               kink=lambda x: np.minimum(np.abs(x + 0.5), np.abs(x - 0.7))),
    layer_case("default", 'type: "Truncation"', [(3, 5)], kink=np.abs),
]  # fmt: skip

SOFT_TRUNCATION = [
    layer_case("plain", 'type: "SoftTruncation"', [(3, 5)]),
    layer_case("sharp", 'type: "SoftTruncation" soft_truncation_param { c: 0.5 }', [(3, 2, 2)]),
]

ARCCOS = [layer_case("plain", 'type: "Arccos"', [between(-0.9, 0.9, 3, 5)])]

COSINE = [layer_case("plain", 'type: "Cosine"', [(3, 5)])]

CASES: list[LayerCase] = [
    *CENTER_LOSS, *TRIPLET_LOSS, *GENERAL_CONTRASTIVE_LOSS, *GENERAL_TRIPLET_LOSS, *FOCAL_LOSS, *MARGIN_INNER_PRODUCT,
    *LARGE_MARGIN_INNER_PRODUCT, *INNER_DISTANCE, *LABEL_SPECIFIC_ADD, *LABEL_SPECIFIC_RESCALE,
    *GLOBAL_LSE_MARGIN, *LABELED_MATCHING, *UNLABELED_MATCHING, *CHANNEL_SCALE, *FLIP, *PAIRWISE, *GRAM, *SLOPE,
    *TRUNCATION, *SOFT_TRUNCATION, *ARCCOS, *COSINE,
]  # fmt: skip
