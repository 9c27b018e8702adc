"""The cases that prove the layers: for the tests, and for `bicerin plugins check bicerin-yolo`."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from bicerin.testing import LayerCase, layer_case

Make = Callable[[np.random.Generator], np.ndarray]

DARKNET = {"gradients": "what is passed down is darknet's delta, which is not the gradient of the loss that is shown"}
ONE_LIST = {**DARKNET, "rows": "its objects name their image by its place in the batch"}
NUMBERED = {"rows": "its rows name their image by its place in the batch"}
CELLS = "biases: 0.6 biases: 0.8 biases: 1.1 biases: 0.7 biases: 1.5 biases: 1.9"
PIXELS = "biases: 10 biases: 13 biases: 16 biases: 30 biases: 33 biases: 23 biases: 30 biases: 61"


def objects(images: int, most: int, classes: int) -> Make:
    """A function that makes lists of 0 to `most` objects of each image, `(N, 1, most + 1, 5)`."""

    def make(random: np.random.Generator) -> np.ndarray:
        made = np.zeros((images, 1, most + 1, 5))
        for image in range(images):
            number = int(random.integers(most + 1)) if image else most
            made[image, 0, :number, 0] = random.integers(0, classes, number)
            made[image, 0, :number, 1:3] = random.uniform(0.05, 0.95, (number, 2))
            made[image, 0, :number, 3:] = random.uniform(0.05, 0.6, (number, 2))
        return made

    return make


def annotated(images: int, number: int, classes: int) -> Make:
    """A function that makes objects as AnnotatedData gives them, the last row being nothing."""

    def make(random: np.random.Generator) -> np.ndarray:
        corner = random.uniform(0, 0.6, (number, 2))
        rows = [random.integers(0, images, number), random.integers(1, classes + 1, number), np.zeros(number)]
        made = np.column_stack([*rows, corner, corner + random.uniform(0.1, 0.4, (number, 2)), np.zeros(number)])
        return np.concatenate([made, np.full((1, 8), -1)])[None, None]

    return make


def places(images: int, side: int, classes: int) -> Make:
    """A function that makes labels of YOLO 1, `(N, 7 S^2)`: an object at about half of the places."""

    def make(random: np.random.Generator) -> np.ndarray:
        shape = (images, side * side)
        there = random.integers(0, 2, shape)
        label = np.where(there, random.integers(0, classes, shape), -1)
        boxes = random.uniform(0.1, 0.6, (*shape, 4)) * there[..., None]
        return np.concatenate([random.integers(0, 2, shape) * there, there, label, boxes.reshape(images, -1)], axis=1)

    return make


def positive(*shape: int) -> Make:
    return lambda random: random.uniform(0.1, 0.9, shape)


REORG = [
    layer_case("two", 'type: "Reorg" reorg_param { stride: 2 }', [(2, 4, 4, 6)]),
    layer_case("three", 'type: "Reorg" reorg_param { stride: 3 }', [(2, 9, 3, 6)]),
    layer_case("reverse", 'type: "Reorg" reorg_param { stride: 2 reverse: true }', [(2, 8, 3, 5)]),
]

REGION_LOSS = [
    layer_case("plain", f'type: "RegionLoss" region_loss_param {{ num: 3 num_class: 2 thresh: 0.4 {CELLS} }}',
               [(2, 21, 4, 4), objects(2, 5, 2)], without=DARKNET),
    layer_case("predicted", 'type: "RegionLoss" loss_weight: 2 region_loss_param { num: 3 num_class: 4 bias_match: 0 '
               f"rescore: 0 {CELLS} }}", [(3, 27, 3, 5), objects(3, 6, 4)], without=DARKNET),
    layer_case("annotated", f'type: "RegionLoss" region_loss_param {{ num: 3 num_class: 2 {CELLS} }}',
               [(2, 21, 4, 4), annotated(2, 5, 2)], batched=[], without=ONE_LIST),
]  # fmt: skip

YOLOV3 = [
    layer_case(name, f'type: "Yolov3" yolov3_param {{ num: 3 num_class: 2 {mask} {options} {PIXELS} }}',
               [(2, 21, 3, 4), labels], without=without, batched=batched)
    for name, mask, options, labels, without, batched in [
        ("plain", "mask: [0, 1, 2]", "", objects(2, 5, 2), DARKNET, None),
        ("iou", "mask: [1, 2, 3]", "iou_loss: IOU accumulate: false", objects(2, 5, 2), DARKNET, None),
        ("giou", "mask: [0, 1, 2]", "iou_loss: GIOU iou_thresh: 0.2", objects(2, 5, 2), DARKNET, None),
        ("diou", "mask: [1, 2, 3]", "iou_loss: DIOU use_focal_loss: true", objects(2, 5, 2), DARKNET, None),
        ("ciou", "mask: [0, 1, 3]", "iou_loss: CIOU use_logic_gradient: true", objects(2, 5, 2), DARKNET, None),
        ("annotated", "mask: [0, 1, 2]", "anchors_scale: 16", annotated(2, 5, 2), ONE_LIST, ()),
    ]
]  # fmt: skip

DETECTION_LOSS = [
    layer_case(name, f'type: "DetectionLoss" detection_loss_param {{ side: 3 num_class: 4 num_object: 2 {options} }}',
               [positive(3, 126), places(3, 3, 4)], without=DARKNET)
    for name, options in [("plain", ""), ("cells", "constriant: true sqrt: false coord_scale: 2")]
]  # fmt: skip

YOLO_DETECTION_OUTPUT = [
    layer_case(name, f'type: "YoloDetectionOutput" yolo_detection_output_param {{ num_classes: 2 num_box: 3 '
               f"confidence_threshold: {threshold} {CELLS} }}", shapes, gradient=False, without=NUMBERED)
    for name, threshold, shapes in [
        ("plain", 0.3, [(2, 21, 4, 3)]),
        ("two_maps", 0.4, [(2, 21, 3, 3), (2, 21, 5, 4)]),
        ("nothing", 2, [(2, 21, 4, 3)]),
    ]
]  # fmt: skip

YOLOV3_DETECTION_OUTPUT = [
    layer_case(name, f'type: "Yolov3DetectionOutput" yolov3_detection_output_param {{ num_classes: 2 num_box: 2 '
               f"confidence_threshold: {threshold} nms_threshold: 0.4 {maps} {PIXELS} }}", shapes, gradient=False,
               without=NUMBERED)
    for name, threshold, maps, shapes in [
        ("one_map", 0.3, "mask_group_num: 1 anchors_scale: 32 mask: [1, 2]", [(2, 14, 4, 3)]),
        ("two_maps", 0.4, "anchors_scale: [32, 16] mask: [2, 3, 0, 1]", [(2, 14, 2, 3), (2, 14, 4, 6)]),
        ("gaussian", 0.1, "mask_group_num: 1 anchors_scale: 32 mask: [1, 2] gaussian_box: true", [(2, 22, 4, 3)]),
        ("nothing", 2, "mask_group_num: 1 anchors_scale: 32 mask: [1, 2]", [(2, 14, 4, 3)]),
    ]
]  # fmt: skip

EVAL_DETECTION = [
    layer_case("first", 'type: "EvalDetection" eval_detection_param { side: 3 num_class: 4 threshold: 0.2 }',
               [positive(3, 126), places(3, 3, 4)], gradient=False),
    layer_case("suppressed", 'type: "EvalDetection" eval_detection_param { side: 3 num_class: 4 threshold: 0.2 '
               "nms: 0.4 constriant: false sqrt: false score_type: PROB }", [positive(3, 126), places(3, 3, 4)],
               gradient=False),
    layer_case("second", 'type: "EvalDetection" eval_detection_param { side: 4 num_class: 2 num_object: 3 '
               f"threshold: 0.2 nms: 0.4 {CELLS} }}", [(2, 21, 4, 4), objects(2, 5, 2)], gradient=False),
    layer_case("annotated", 'type: "EvalDetection" eval_detection_param { side: 4 num_class: 2 num_object: 3 '
               f"score_type: OBJ {CELLS} }}", [(2, 21, 4, 4), annotated(2, 5, 2), (2, 3, 8, 8)], gradient=False,
               batched=[], without=NUMBERED),
]  # fmt: skip

CASES: list[LayerCase] = [
    *REORG,
    *REGION_LOSS,
    *YOLOV3,
    *DETECTION_LOSS,
    *YOLO_DETECTION_OUTPUT,
    *YOLOV3_DETECTION_OUTPUT,
    *EVAL_DETECTION,
]
