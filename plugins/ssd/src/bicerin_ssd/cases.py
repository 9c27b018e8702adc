"""The cases that prove the layers: for the tests, and for `bicerin plugins check bicerin-ssd`.

AnnotatedData has none: it reads a store, which its tests write.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bicerin.testing import layer_case

CLASSES = 3


def boxes(number: int, random: np.random.Generator, spread: float = 0.0) -> np.ndarray:
    """Shape (number, 4); with `spread`, some reach that far beyond the image."""
    corner = random.uniform(-spread, 0.6 + spread, (number, 2))
    return np.hstack((corner, corner + random.uniform(0.1, 0.4 + spread, (number, 2))))


# Permute, Normalize, PriorBox


def permute(*order: int) -> str:
    return f'type: "Permute" permute_param {{ {" ".join(f"order: {axis}" for axis in order)} }}'


PERMUTE = [
    layer_case("to_nhwc", permute(0, 2, 3, 1), [(2, 3, 4, 5)]),
    layer_case("to_nchw", permute(0, 3, 1, 2), [(2, 3, 4, 5)]),
    layer_case("rest_follows", permute(0, 2), [(2, 3, 4)]),
    layer_case("nothing_given", 'type: "Permute"', [(2, 3)]),
    layer_case("as_it_was", permute(0, 1, 2, 3), [(2, 3, 1, 2)]),
]

PIXEL = "across_spatial: false"
FILLED = 'scale_filler { type: "constant" value: 20 }'


def normalize(options: str = "") -> str:
    return f'type: "Normalize" norm_param {{ {options} }}'


NORMALIZE = [
    layer_case("image", normalize(), [(2, 3, 4, 5)]),
    layer_case("pixel", normalize(PIXEL), [(2, 3, 2, 2)]),
    layer_case("pixel_channels", normalize(f"{PIXEL} channel_shared: false {FILLED}"), [(2, 3, 2, 2)]),
    layer_case("image_channels", normalize(f"channel_shared: false {FILLED}"), [(2, 3, 2, 2)]),
    layer_case("filled", normalize(f"{PIXEL} {FILLED} eps: 0.5"), [(2, 3, 2, 2)]),
    layer_case("vectors", normalize(PIXEL), [(4, 3)]),
    layer_case("unit_channels", 'type: "Normalize" normalize_param { }', [(2, 3, 2, 2)]),
    layer_case(
        "unit_channels_l1", 'type: "Normalize" normalize_param { normalize_type: "L1" }', [(2, 3, 2, 2)], gradient=False
    ),
    layer_case("unit_channels_norms", 'type: "Normalize" normalize_param { bp_norm: true }', [(2, 3, 2, 2)], tops=2),
    layer_case(
        "channels_that_differ",
        normalize(f'{PIXEL} channel_shared: false scale_filler {{ type: "uniform" min: 1 max: 5 }}'),
        [(2, 3, 2, 2)],
        without={
            "gradients": "the gradient is SSD's, which leaves the factors out of a sum",
            "dtypes": "the factors are random",
        },
    ),
]


def prior_box(options: str) -> str:
    return f'type: "PriorBox" prior_box_param {{ {options} }}'


PRIOR_BOX = [
    layer_case(name, prior_box(options), [(2, 4, 3, 5), (2, 3, 90, 150)])
    for name, options in {
        "ssd": "min_size: 30 max_size: 60 aspect_ratio: 2 variance: [0.1, 0.1, 0.2, 0.2]",
        "no_flip": "min_size: 20 aspect_ratio: 3 flip: false",
        "clipped": "min_size: 80 clip: true",
        "image": "min_size: 20 img_h: 60 img_w: 70 step_h: 8 step_w: 9 offset: 0.3",
    }.items()
]

PRIOR_BOX_CLUSTERED = [
    layer_case(
        name,
        f'type: "PriorBoxClustered" prior_box_param {{ width: [12.5, 40, 9] height: [31, 8.25, 9] {options} }}',
        [(2, 4, 3, 5), (2, 3, 90, 150)],
    )
    for name, options in {
        "plain": "variance: [0.1, 0.1, 0.2, 0.2]",
        "clipped": "clip: true step: 16 offset: 0.5",
    }.items()
]

# MultiBoxLoss

LOSS_PRIORS, LOSS_IMAGES = 16, 3

#: Image and label of each object. Image 1 has none.
OBJECTS = ((0, 1), (0, 2), (0, 1), (2, 2))


def multibox_loss(options: str = "", loss: str = "") -> str:
    return (
        f'type: "MultiBoxLoss" multibox_loss_param {{ num_classes: {CLASSES} {options} }} loss_param {{ {loss} }} '
        "propagate_down: true propagate_down: true propagate_down: false propagate_down: false"
    )


def loss_inputs(
    loc_classes: int = 1,
    seed: int = 0,
    objects: Sequence[tuple[int, int]] = OBJECTS,
    alike: bool = False,
    number: int = LOSS_PRIORS,
) -> list[np.ndarray]:
    """Each object is near a prior, so that there are matches above the threshold; the second one is difficult.

    Args:
        alike: some priors are the same, predictions of others, and two objects, so that overlaps and losses tie.
        number: of priors.
    """
    random = np.random.default_rng(seed)
    priors = boxes(number, random, spread=0.1)
    variances = random.uniform(0.1, 0.4, (number, 4))
    locations = random.normal(size=(LOSS_IMAGES, number, loc_classes * 4))
    scores = random.normal(size=(LOSS_IMAGES, number, CLASSES)) * 2
    rows = []
    for index, (image, label) in enumerate(objects):
        box = priors[3 * index + 1] + random.normal(size=4) * 0.02
        rows.append([image, label, 0, *box, index == 1])
    rows.append([-1.0] * 8)
    if alike:
        for each in (priors, variances):
            each[2::3] = each[1]
        for each in (locations, scores):
            each[:, 3::3] = each[:, :1]
        rows.append([rows[0][0], 3 - rows[0][1], 0, *rows[0][3:]])
    return [
        locations.reshape(LOSS_IMAGES, -1),
        scores.reshape(LOSS_IMAGES, -1),
        np.stack((priors.reshape(-1), variances.reshape(-1)))[None],
        np.array(rows, np.float64)[None, None],
    ]


_ENCODED = {"gradients": "the gradient is SSD's, which is divided by the variance"}

MULTIBOX_LOSS = [
    layer_case(
        name, multibox_loss(options), loss_inputs(loc_classes, alike=alike), check_bottom=(0, 1), batched=(0, 1),
        without={"rows": "objects name their image by its place in the batch", **without},
    )
    for name, options, loc_classes, alike, without in [
        ("ssd", "code_type: CENTER_SIZE", 1, False, {}),
        ("corner", "loc_weight: 2.5", 1, False, {}),
        ("l2", "loc_loss_type: L2 code_type: CORNER_SIZE", 1, False, {}),
        ("logistic", "conf_loss_type: LOGISTIC code_type: CENTER_SIZE", 1, False, {}),
        ("all_boxes", "mining_type: NONE", 1, False, {}),
        ("logistic_all_boxes", "mining_type: NONE conf_loss_type: LOGISTIC", 1, False, {}),
        ("bipartite", "match_type: BIPARTITE", 1, False, {}),
        ("hard_examples", "mining_type: HARD_EXAMPLE sample_size: 6", 1, False, {}),
        ("easy_objects", "use_difficult_gt: false", 1, False, {}),
        ("inside", "bp_inside: true ignore_cross_boundary_bbox: true", 1, False, {}),
        ("by_prediction", "use_prior_for_matching: false code_type: CENTER_SIZE", 1, False,
         {"gradients": "the matches change with the predictions, which the gradient takes as given"}),
        ("class_by_class", "mining_type: NONE share_location: false", CLASSES, False, {}),
        ("encoded", "encode_variance_in_target: true code_type: CENTER_SIZE", 1, False, _ENCODED),
        ("few_negatives", "neg_pos_ratio: 1 neg_overlap: 0.3", 1, False, {}),
        ("ties", "code_type: CENTER_SIZE neg_pos_ratio: 1", 1, True,
         {"gradients": "a difference taken breaks the ties"}),
        ("hard_ties", "mining_type: HARD_EXAMPLE sample_size: 5", 1, True,
         {"gradients": "a difference taken breaks the ties"}),
    ]
]  # fmt: skip

#: Of DetectionOutput.
PRIORS = 12


def first_stage(images: int = 2, number: int = PRIORS) -> list[np.ndarray]:
    """RefineDet's scores of nothing and something, and locations."""
    random = np.random.default_rng(6)
    something = random.random((images, number, 1)).astype(np.float32)
    scores = np.concatenate((1 - something, something), axis=2).reshape(images, -1)
    return [scores, random.normal(size=(images, number * 4)) * 0.3]


MULTIBOX_LOSS += [
    layer_case(
        name,
        multibox_loss(f"code_type: {code} {options}") + " propagate_down: false" * stages,
        [*loss_inputs(1), *first_stage(LOSS_IMAGES, LOSS_PRIORS)[:stages]],
        check_bottom=(0, 1),
        batched=(0, 1, *range(4, 4 + stages)),
        without={"rows": "objects name their image by its place in the batch"},
    )
    for name, code, options, stages in [
        ("objectness", "CORNER", "objectness_score: 0.6", 1),
        ("refined", "CENTER_SIZE", "objectness_score: 0.3", 2),
        ("refined_sizes", "CORNER_SIZE", "mining_type: NONE", 2),
    ]
]

# DetectionOutput


def detection_output(options: str, **fields: str) -> str:
    rest = " ".join(f"{name}: {value}" for name, value in fields.items())
    return f'type: "DetectionOutput" detection_output_param {{ {options} {rest} }}'


def prediction_inputs(
    images: int = 2, loc_classes: int = 1, seed: int = 5, alike: bool = False, number: int = PRIORS
) -> list[np.ndarray]:
    """Locations, scores and priors.

    Args:
        alike: of the scores there are few values, so that many are equal.
        number: of priors.
    """
    random = np.random.default_rng(seed)
    scores = random.random((images, number * CLASSES)).astype(np.float32)
    priors = boxes(number, np.random.default_rng(0))
    return [
        random.normal(size=(images, number * loc_classes * 4)) * 0.5,
        scores.round(1) if alike else scores,
        np.stack((priors.reshape(-1), np.full(number * 4, 0.2)))[None],
    ]


HOW_MANY = {
    "reshape_twice": "how many detections there are is known after the forward pass",
    "rows": "detections name their image by its place in the batch",
}
DETECTION_OUTPUT = [
    layer_case(
        name,
        detection_output(f"num_classes: {CLASSES} {options}"),
        prediction_inputs(loc_classes=loc_classes, alike=name == "ties"),
        gradient=False,
        batched=(0, 1),
        without=HOW_MANY,
    )
    for name, options, loc_classes in [
        ("plain", "nms_param { nms_threshold: 0.4 top_k: 8 } keep_top_k: 5", 1),
        ("all", "background_label_id: -1 code_type: CENTER_SIZE", 1),
        ("own_locations", "share_location: false confidence_threshold: 0.3", CLASSES),
        ("ties", "confidence_threshold: 0.2 nms_param { nms_threshold: 0.7 eta: 0.9 top_k: 7 } keep_top_k: 6", 1),
    ]
]

DETECTION_OUTPUT += [
    layer_case(
        name,
        detection_output(f"num_classes: {CLASSES} confidence_threshold: 0.1 objectness_score: 0.4 {options}"),
        [*prediction_inputs(), *first_stage()[:stages]],
        gradient=False,
        batched=(0, 1, *range(3, 3 + stages)),
        without=HOW_MANY,
    )
    for name, options, stages in [
        ("refined", "code_type: CENTER_SIZE nms_param { nms_threshold: 0.4 top_k: 8 } keep_top_k: 5", 2),
        ("objectness", "code_type: CORNER", 1),
    ]
]

# DetectionEvaluate

LEFT, RIGHT, UPPER = (0.0, 0.0, 0.4, 1.0), (0.6, 0.0, 1.0, 1.0), (0.0, 0.0, 0.4, 0.5)


def detection_evaluate(options: str = "") -> str:
    return f'type: "DetectionEvaluate" detection_evaluate_param {{ num_classes: {CLASSES} {options} }}'


FOUND = [
    np.array([[0, 1, 0.9, *LEFT], [0, 1, 0.8, *LEFT], [0, 2, 0.7, *RIGHT], [1, 1, 0.6, *LEFT]])[None, None],
    np.array([[0, 1, 0, *LEFT, 0], [0, 1, 0, *RIGHT, 0], [1, 2, 0, *LEFT, 0]])[None, None],
]

DETECTION_EVALUATE = [
    layer_case(
        "plain", detection_evaluate(), FOUND, gradient=False, batched=(),
        expected=[[[[[-1, 1, 2, -1, -1], [-1, 2, 1, -1, -1], [0, 1, 0.9, 1, 0], [0, 1, 0.8, 0, 1], [0, 2, 0.7, 0, 1],
                     [1, 1, 0.6, 0, 1]]]]],
    ),
    layer_case("half", detection_evaluate("overlap_threshold: 0.2"), FOUND, gradient=False, batched=()),
]  # fmt: skip

CASES = [*PERMUTE, *NORMALIZE, *PRIOR_BOX, *PRIOR_BOX_CLUSTERED, *MULTIBOX_LOSS, *DETECTION_OUTPUT, *DETECTION_EVALUATE]
