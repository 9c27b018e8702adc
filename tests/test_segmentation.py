"""A small net learns to label the pixels of shapes, which DenseImageData reads from files."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

import bicerin

SIZE, IMAGES = 24, 24


def draw(folder: Path) -> None:
    """Images of a red square and a blue disc on grey noise, and images of their labels, 1 and 2 among 0."""
    random = np.random.default_rng(3)
    for part in ("train", "test"):
        lines = []
        for index in range(IMAGES):
            image = random.normal(110, 40, (SIZE, SIZE, 3))
            label = np.zeros((SIZE, SIZE), np.uint8)
            rows, columns = np.indices(label.shape)
            top, left = random.integers(0, SIZE - 9, 2)
            label[top : top + 9, left : left + 9] = 1
            y, x = random.integers(5, SIZE - 5, 2)
            label[(rows - y) ** 2 + (columns - x) ** 2 <= 20] = 2
            image[label == 1] += [-30, -30, 60]
            image[label == 2] += [60, -30, -30]
            name = f"{part}{index}.png"
            cv2.imwrite(str(folder / name), np.clip(image, 0, 255).astype(np.uint8))
            cv2.imwrite(str(folder / f"label_{name}"), label)
            lines.append(f"{name} label_{name}\n")
        (folder / f"{part}.txt").write_text("".join(lines))


def data(part: str, options: str) -> str:
    return f"""layer {{
      name: "data" type: "DenseImageData" top: "data" top: "label" include {{ phase: {part.upper()} }}
      dense_image_data_param {{ source: "{part}.txt" batch_size: 8 {options} }}
      transform_param {{ mean_value: 110 scale: 0.02 }} }}"""


def convolution(name: str, bottom: str, outputs: int, size: int) -> str:
    return f"""layer {{ name: "{name}" type: "Convolution" bottom: "{bottom}" top: "{name}" convolution_param {{
      num_output: {outputs} kernel_size: {size} pad: {size // 2} weight_filler {{ type: "msra" }} }} }}"""


NET = f"""
{data("train", "shuffle: true mirror: true crop_height: 20 crop_width: 20")}
{data("test", "")}
{convolution("one", "data", 12, 5)}
layer {{ name: "relu1" type: "ReLU" bottom: "one" top: "one" }}
{convolution("two", "one", 12, 3)}
layer {{ name: "relu2" type: "ReLU" bottom: "two" top: "two" }}
{convolution("score", "two", 3, 1)}
layer {{ name: "loss" type: "SoftmaxWithLoss" bottom: "score" bottom: "label" top: "loss" include {{ phase: TRAIN }} }}
layer {{ name: "judged" type: "SegAccuracy" bottom: "score" bottom: "label" top: "judged" include {{ phase: TEST }} }}
"""


def test_shapes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    draw(tmp_path)
    (tmp_path / "net.prototxt").write_text(NET)
    (tmp_path / "solver.prototxt").write_text(
        'net: "net.prototxt" type: "Adam" base_lr: 0.01 lr_policy: "fixed" max_iter: 80 random_seed: 1 '
        "test_iter: 3 test_interval: 1000 snapshot_after_train: false"
    )
    solver = bicerin.Solver(tmp_path / "solver.prototxt")
    solver.step(80)
    judged = []
    for index in range(IMAGES // 8):
        test = solver.test_nets[0]
        test.forward()
        judged.append(test.blobs["judged"].data.reshape(3).copy())
        share = (test.blobs["label"].data == 0).mean()
        assert share < 0.85, index  # so many are right where all are said to be ground
    pixels, classes, unions = np.mean(judged, axis=0)
    assert pixels > 0.95 and classes > 0.9 and unions > 0.8, (pixels, classes, unions)
