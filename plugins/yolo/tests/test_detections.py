"""Detections: several images, thresholds, Reorg by its definition."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from bicerin.cli.command_line import command_line
from bicerin.errors import LayerError, ShapeError
from bicerin.testing import run_layer
from bicerin_yolo.mean_average_precision import MeanAveragePrecision

random = np.random.default_rng(0)
SECOND = 'type: "YoloDetectionOutput" yolo_detection_output_param { num_classes: 2 num_box: 2 biases: [1, 1, 2, 2] '
THIRD = 'type: "Yolov3DetectionOutput" yolov3_detection_output_param { num_classes: 2 num_box: 2 mask_group_num: 1 '
THIRD += "biases: [16, 16, 32, 32] mask: [0, 1] anchors_scale: 16 "


def detections(text: str, *maps: np.ndarray, device: str = "cpu") -> np.ndarray:
    run = run_layer(text, maps, dtype=np.float64, device=device)
    run.forward()
    return np.array(run.top[0].read_only.data)


@pytest.mark.parametrize("text", [SECOND, THIRD])
def test_each_image_has_its_own_list(text: str, device: str) -> None:
    maps = random.normal(size=(3, 14, 4, 4)) * 2
    maps[1] = -9  # nothing is found
    together = detections(f"{text} confidence_threshold: 0.2 }}", maps, device=device)[0, 0]
    alone = [detections(f"{text} confidence_threshold: 0.2 }}", maps[[n]], device=device)[0, 0] for n in (0, 2)]
    assert np.array_equal(np.unique(together[:, 0]), [0, 2])
    for number, rows in zip((0, 2), alone, strict=True):
        assert np.allclose(together[together[:, 0] == number, 1:], rows[:, 1:])


@pytest.mark.parametrize("text", [SECOND, THIRD])
def test_what_is_found(text: str, device: str) -> None:
    """One box that is sure, and one of less score at the same place, which it suppresses."""
    maps = np.full((1, 2, 7, 4, 4), -9.0)
    maps[0, 1, :, 2, 3] = [0, 0, np.log(1.5), np.log(0.5), 9, -9, 9]
    maps[0, 0, :, 2, 3] = [0, 0, np.log(3), 0, 2, 9, -9]
    rows = detections(
        f"{text} nms_threshold: 0.9 confidence_threshold: 0.5 }}", maps.reshape(1, 14, 4, 4), device=device
    )
    assert rows.shape == (1, 1, 1, 7)
    assert np.allclose(rows[0, 0, 0, :3], [0, 2, 1], atol=1e-3)
    assert np.allclose(rows[0, 0, 0, 3:], [0.875 - 0.375, 0.625 - 0.125, 0.875 + 0.375, 0.625 + 0.125])


def test_a_map_of_yolo3_gives_a_box_for_each_class(device: str) -> None:
    maps = np.full((1, 2, 7, 1, 1), -9.0)
    maps[0, 0, :, 0, 0] = [0, 0, 0, 0, 9, 2, 1]
    rows = detections(
        f"{THIRD} nms_threshold: 1.1 confidence_threshold: 0.5 }}", maps.reshape(1, 14, 1, 1), device=device
    )
    assert rows[0, 0, :, 1].tolist() == [1, 2]
    assert np.allclose(rows[0, 0, :, 2], 1 / (1 + np.exp([-2, -1])) / (1 + np.exp(-9)))


def test_deviations_lower_the_score(device: str) -> None:
    """Objectness 0.8, a class of 0.9, deviations of 0.1, 0.2, 0.3 and 0.4: 0.8 * 0.9 * (1 - 0.25)."""
    maps = np.full((1, 2, 11, 4, 4), -9.0)
    logits = [np.log(p / (1 - p)) for p in (0.1, 0.2, 0.3, 0.4, 0.8, 0.9)]
    maps[0, 1, :, 2, 3] = [0, logits[0], 0, logits[1], np.log(1.5), logits[2], np.log(0.5), *logits[3:5], -9, logits[5]]
    options = f"{THIRD} gaussian_box: true confidence_threshold: 0.5 }}"
    rows = detections(options, maps.reshape(1, 22, 4, 4), device=device)
    assert rows.shape == (1, 1, 1, 7)
    assert np.allclose(rows[0, 0, 0], [0, 2, 0.54, 0.875 - 0.375, 0.625 - 0.125, 0.875 + 0.375, 0.625 + 0.125])
    with pytest.raises(ShapeError, match=r"must have the shape \(1, 22, H, W\)"):
        run_layer(options, [np.zeros((1, 14, 4, 4))])


@pytest.mark.parametrize(("text", "bottoms", "words"), [
    (f"{THIRD} }}", 2, "mask_group_num is 1, but there are 2 bottoms"),
    (f"{THIRD} mask: 7 }}", 1, "mask must name num_box = 2 of the 2 anchors"),
    (f"{THIRD} anchors_scale: 8 }}", 1, "anchors_scale must be a number > 0 for each of 1 maps"),
    (f"{SECOND} coords: 3 }}", 1, "coords must be 4"),
    ('type: "YoloDetectionOutput" yolo_detection_output_param { num_box: 2 }', 1, "biases must be pairs"),
])  # fmt: skip
def test_options_that_cannot_be(text: str, bottoms: int, words: str) -> None:
    with pytest.raises(LayerError, match=words):
        run_layer(text, [np.zeros((1, 14, 4, 4))] * bottoms)


def test_shapes_that_cannot_be() -> None:
    with pytest.raises(ShapeError, match=r"must have the shape \(1, 14, H, W\)"):
        run_layer(f"{SECOND} }}", [np.zeros((1, 13, 4, 4))])


@pytest.mark.parametrize("stride", [2, 3])
def test_reorg(stride: int) -> None:
    """By darknet's definition, element by element, and back."""
    few, s = 2, stride
    channels, height, width = few * s * s, 2 * s, 3 * s
    x = random.normal(size=(2, channels, height, width))
    flat, y = x.reshape(-1), np.empty(x.size)
    for n, c, h, w in np.ndindex(x.shape):
        o, small = divmod(c, few)
        place = (w * s + o % s) + width * s * ((h * s + o // s) + height * s * (small + few * n))
        y[w + width * (h + height * (c + channels * n))] = flat[place]
    run = run_layer(f'type: "Reorg" reorg_param {{ stride: {s} }}', [x], dtype=np.float64)
    run.forward()
    assert np.array_equal(np.array(run.top[0].data).reshape(-1), y)
    run.top[0].diff[...] = run.top[0].data
    run.backward()
    assert np.array_equal(run.bottom[0].diff, x)


@pytest.mark.parametrize(("options", "shape", "words"), [
    ("", (1, 4, 4, 4), "stride must be > 0"),
    ("stride: 2", (1, 6, 4, 4), "multiple of stride.2 = 4, not 6"),
    ("stride: 2", (1, 4, 4, 5), "height and width must be multiples of stride = 2"),
])  # fmt: skip
def test_reorg_refuses(options: str, shape: tuple[int, ...], words: str) -> None:
    with pytest.raises(LayerError, match=words):
        run_layer(f'type: "Reorg" reorg_param {{ {options} }}', [np.zeros(shape)])


def test_evaluation_of_yolo2() -> None:
    """Two right boxes, one of them found twice, and one of another class."""
    maps = np.full((1, 2, 7, 2, 2), -9.0)
    truths = np.zeros((1, 1, 3, 5))
    truths[0, 0, :2] = [[0, 0.25, 0.25, 0.5, 0.5], [1, 0.75, 0.75, 0.5, 0.5]]
    maps[0, 0, :, 0, 0] = [0, 0, 0, 0, 9, 9, -9]
    maps[0, 1, :, 0, 0] = [0, 0, np.log(0.5), np.log(0.5), 2, 9, -9]
    maps[0, 0, :, 1, 1] = [0, 0, 0, 0, 1, -9, 9]
    maps[0, 0, :, 0, 1] = [0, 0, 0, 0, 0, -9, 9]
    text = (
        'type: "EvalDetection" eval_detection_param { side: 2 num_class: 2 num_object: 2 biases: [1, 1, 2, 2] nms: 2 }'
    )
    run = run_layer(text, [maps.reshape(1, 14, 2, 2), truths], dtype=np.float64)
    run.forward()
    row = np.array(run.top[0].data)[0]
    assert row[:2].tolist() == [1, 1]
    found = row[2:].reshape(-1, 4)[:4]
    assert found[:, [0, 2, 3]].tolist() == [[0, 1, 0], [0, 0, 1], [1, 1, 0], [1, 0, 1]]
    assert np.allclose(found[:, 1], 1 / (1 + np.exp([-9, -2, -1, 0])), atol=1e-6)


def test_mean_average_precision() -> None:
    """Two images: of class 0 three objects, of which the best and the third detection find one; of class 1 none."""
    score = MeanAveragePrecision(3)
    score.add(np.array([[2, 0, 1, *(0, 0.9, 1, 0), *(0, 0.8, 0, 1), *(2, 0.3, 1, 0), *(0, 0.85, 0, 0)]]))
    score.add(np.array([[1, 0, 0, *(0, 0.7, 1, 0), *(1, 0.9, 0, 1), *(0, 0, 0, 0), *(0, 0, 0, 0)]]))
    assert score.by_class() == pytest.approx({0: (1 + 2 / 3) / 3, 2: 1})
    assert score.result() == pytest.approx(((1 + 2 / 3) / 3 + 1) / 2)


def test_a_test_says_it(tmp_path: Path) -> None:
    (tmp_path / "net.prototxt").write_text("""
        layer { name: "data" type: "Input" top: "data" top: "label"
          input_param { shape { dim: [1, 14, 2, 2] } shape { dim: [1, 1, 3, 5] } } }
        layer { name: "judged" type: "EvalDetection" bottom: "data" bottom: "label" top: "judged"
          eval_detection_param { side: 2 num_class: 2 num_object: 2 biases: [1, 1, 2, 2] } }""")
    ran = CliRunner().invoke(command_line, ["test", str(tmp_path / "net.prototxt"), "--iterations", "2"])
    assert ran.exit_code == 0, ran.output
    assert re.search(r"(?m)judged +0 *$", ran.output), ran.output
