"""The schema: every number under which a fork holds a field is read."""

from __future__ import annotations

from importlib.resources import files

import pytest

import bicerin_proto
from bicerin.schema.installed_schema import schema
from bicerin.testing.binary_layer import read_binary_layer


@pytest.mark.parametrize(("layer_type", "name", "inner", "number_inside", "numbers"), [
    ("Reorg", "reorg_param", "stride", 1, [147, 149, 159]),
    ("RegionLoss", "region_loss_param", "num_class", 2, [202, 600, 209]),
    ("EvalDetection", "eval_detection_param", "num_object", 3, [201, 301]),
    ("DetectionLoss", "detection_loss_param", "side", 1, [200]),
    ("YoloDetectionOutput", "yolo_detection_output_param", "num_classes", 2, [601]),
    ("Yolov3DetectionOutput", "yolov3_detection_output_param", "num_box", 2, [602]),
    ("Yolov3", "yolov3_param", "anchors_scale", 10, [603]),
])  # fmt: skip
def test_every_number_is_read(layer_type: str, name: str, inner: str, number_inside: int, numbers: list[int]) -> None:
    for number in numbers:
        layer = read_binary_layer(layer_type, number, bytes([number_inside << 3, 9]))
        assert getattr(getattr(layer, name), inner) == 9


@pytest.mark.parametrize("text", [
    'layer { region_loss_param { biases: [1, 2] } eval_detection_param { score_type: PROB } reorg_param { } }',
    'layer { type: "Yolov3" yolov3_param { anchors_scale: 32 mask: [6, 7, 8] biases: 10 iou_loss: GIOU } }',
    'layer { type: "BoxData" data_param { side: [7, 14] label_rows: 30 } }',
    'layer { detection_loss_param { side: 7 constriant: true } }',
])  # fmt: skip
def test_text(text: str) -> None:
    net = bicerin_proto.read_net(text, schema(), upgrade=False).message
    assert type(net).FromString(net.SerializeToString()) == net


def test_the_compiled_schema_is_current() -> None:
    assert bicerin_proto.check_current(files("bicerin_yolo") / "yolo.proto")
