"""YOLO 2 from a store of images to boxes: it learns where coloured squares are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import bicerin
import bicerin_proto
from bicerin_data.image import encode_image
from bicerin_data.stores import create_store
from bicerin_yolo.boxes_kernels import overlaps

SIZE, IMAGES, HELD_OUT = 32, 256, 24
#: Blue, green and red of each class.
COLORS = np.array([(230, 30, 30), (30, 230, 30), (30, 30, 230)])
ANCHORS = "biases: [1, 1, 1.6, 1.6]"


def squares(random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """An image with one or two squares on noise, and their class, 0, and box."""
    image = random.integers(80, 120, (3, SIZE, SIZE), dtype=np.uint8)
    objects = []
    for half in range(int(random.integers(1, 3))):
        label, size = int(random.integers(3)), int(random.integers(7, 14))
        left = half * SIZE // 2 + int(random.integers(0, SIZE // 2 - size + 1))
        top = int(random.integers(0, SIZE - size + 1))
        image[:, top : top + size, left : left + size] = COLORS[label][:, None, None]
        objects.append([label, 0, (left + size / 2) / SIZE, (top + size / 2) / SIZE, size / SIZE, size / SIZE])
    return image, np.array(objects)


def convolution(name: str, bottom: str, outputs: int, kernel: int, stride: int) -> str:
    return f"""layer {{ name: "{name}" type: "Convolution" bottom: "{bottom}" top: "{name}" convolution_param {{
        num_output: {outputs} kernel_size: {kernel} pad: {kernel // 2} stride: {stride}
        weight_filler {{ type: "msra" }} }} }}
        """


def body() -> str:
    text, bottom = "", "data"
    for number, outputs in enumerate((12, 20, 32)):
        name = f"conv{number}"
        text += convolution(name, bottom, outputs, 3, 2)
        text += f'layer {{ name: "relu{number}" type: "ReLU" bottom: "{name}" top: "{name}" }}\n'
        bottom = name
    return text + convolution("near", bottom, 32, 3, 1) + convolution("prediction", "near", 2 * 8, 1, 1)


@pytest.mark.parametrize("loss", [
    f'type: "RegionLoss" region_loss_param {{ num: 2 num_class: 3 thresh: 0.6 object_scale: 5 {ANCHORS} }}',
    'type: "Yolov3" yolov3_param { num: 2 num_class: 3 mask: [0, 1] anchors_scale: 8 thresh: 0.6 coord_scale: 1 '
    "iou_loss: GIOU iou_normalizer: 1 biases: [8, 8, 13, 13] }",
], ids=["RegionLoss", "Yolov3"])  # fmt: skip
def test_it_finds_squares(loss: str, tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    with create_store(tmp_path / "squares", "lmdb") as writer:
        for index in range(IMAGES):
            image, objects = squares(random)
            datum = bicerin_proto.Datum(data=encode_image(image, "png"), encoded=True, float_data=objects.reshape(-1))
            writer.put(b"%08d" % index, datum.SerializeToString())
    transform = "transform_param { scale: 0.01 mean_value: 100 }"
    (tmp_path / "train.prototxt").write_text(f"""
        layer {{ name: "data" type: "BoxData" top: "data" top: "label" {transform}
            data_param {{ source: "squares" backend: LMDB batch_size: 16 label_rows: 4 }} }}
        {body()}
        layer {{ name: "loss" bottom: "prediction" bottom: "label" top: "loss" {loss} }}""")
    (tmp_path / "solver.prototxt").write_text("""
        net: "train.prototxt" type: "Adam" base_lr: 0.004 momentum: 0.9 momentum2: 0.99 lr_policy: "step" gamma: 0.2
        stepsize: 260 display: 0 max_iter: 330 random_seed: 1 snapshot_after_train: false""")
    solver = bicerin.Solver(str(tmp_path / "solver.prototxt"))
    solver.step(330)

    third = loss.startswith('type: "Yolov3"')
    output = (
        'type: "Yolov3DetectionOutput" yolov3_detection_output_param { num_classes: 3 num_box: 2 mask_group_num: 1 '
        "anchors_scale: 8 mask: [0, 1] biases: [8, 8, 13, 13] confidence_threshold: 0.4 nms_threshold: 0.4 }"
        if third
        else 'type: "YoloDetectionOutput" yolo_detection_output_param { num_classes: 3 num_box: 2 '
        f"confidence_threshold: 0.25 nms_threshold: 0.4 {ANCHORS} }}"
    )
    shape = f"dim: {HELD_OUT} dim: 3 dim: {SIZE} dim: {SIZE}"
    net = bicerin.Net(
        f'layer {{ name: "data" type: "Input" top: "data" input_param {{ shape {{ {shape} }} }} }} {body()}'
        f'layer {{ name: "found" bottom: "prediction" top: "found" {output} }}',
        phase="TEST",
    )
    net.share_trained_layers_with(solver.net)
    images, truths = zip(*[squares(random) for _ in range(HELD_OUT)], strict=True)
    found = net.forward(data=(np.stack(images) - 100.0) * 0.01)["found"][0, 0]
    right = 0
    for number, objects in enumerate(truths):
        own = found[found[:, 0] == number]
        boxes = np.column_stack([(own[:, 3:5] + own[:, 5:]) / 2, own[:, 5:] - own[:, 3:5]])
        for one in objects:
            right += ((overlaps(np, boxes, one[2:]) > 0.5) & (own[:, 1] == one[0] + 1)).any()
    number = sum(map(len, truths))
    print(f"{right} of {number} squares found, with {len(found)} detections")
    assert right >= 0.8 * number
    assert right >= 0.9 * len(found)
    solver.net.close()


def test_mscnns_loss_of_that_name_is_refused() -> None:
    """bicerin-forks knows its options, which the layer of bicerin-yolo does not."""
    text = 'layer { name: "loss" type: "DetectionLoss" detection_loss_param { cls_num: 4 } }'
    with pytest.raises(bicerin.errors.BicerinError, match="cls_num"):
        bicerin.Net(text, phase="TRAIN")
