"""A small SSD detector, from a store of annotated images to the average precision of each class."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import bicerin
from bicerin.cli.command_line import command_line
from bicerin.schema.installed_schema import schema
from bicerin_data.datum import array_datum
from bicerin_data.stores import create_store

SIZE, BATCH, IMAGES = 48, 16, 128
#: What the objects of each class look like: blue, green, red.
COLORS = {1: (230, 40, 40), 2: (40, 40, 230)}


def write_store(folder: Path) -> None:
    """Squares of two colors on noise, one or two in an image."""
    random = np.random.default_rng(4)
    with create_store(folder / "squares", "lmdb") as writer:
        for index in range(IMAGES):
            image = random.integers(60, 140, (3, SIZE, SIZE), dtype=np.uint8)
            record = schema().plugin_type("bicerin-ssd", "AnnotatedDatum")(type=0)
            for half in range(1 + index % 2):
                label, size = int(random.integers(1, 3)), int(random.integers(12, 23))
                left = int(random.integers(0, SIZE // 2 - size + 1)) + half * SIZE // 2
                top = int(random.integers(0, SIZE - size + 1))
                image[:, top : top + size, left : left + size] = np.array(COLORS[label])[:, None, None]
                annotation = record.annotation_group.add(group_label=label).annotation.add()
                corners = np.array((left, top, left + size, top + size)) / SIZE
                for name, value in zip(("xmin", "ymin", "xmax", "ymax"), corners, strict=True):
                    setattr(annotation.bbox, name, value)
            record.datum.MergeFromString(array_datum(image).SerializeToString())
            writer.put(b"%08d" % index, record.SerializeToString())


def convolution(name: str, bottom: str, outputs: int, stride: int = 1, relu: bool = True) -> str:
    text = f"""
layer {{ name: "{name}" type: "Convolution" bottom: "{bottom}" top: "{name}" convolution_param {{
  num_output: {outputs} kernel_size: 3 pad: 1 stride: {stride} weight_filler {{ type: "msra" }} }} }}
"""
    return text + (f'layer {{ name: "{name}_relu" type: "ReLU" bottom: "{name}" top: "{name}" }}\n' if relu else "")


def head(source: str, priors: str, per_cell: int) -> str:
    """Predictions from one feature map."""
    text = ""
    for kind, outputs in (("loc", 4), ("conf", 3)):
        name = f"{source}_{kind}"
        text += convolution(name, source, outputs * per_cell, relu=False)
        text += f"""
layer {{ name: "{name}_perm" type: "Permute" bottom: "{name}" top: "{name}_perm"
  permute_param {{ order: 0 order: 2 order: 3 order: 1 }} }}
layer {{ name: "{name}_flat" type: "Flatten" bottom: "{name}_perm" top: "{name}_flat" flatten_param {{ axis: 1 }} }}
"""
    return (
        text
        + f"""
layer {{ name: "{source}_priorbox" type: "PriorBox" bottom: "{source}" bottom: "data" top: "{source}_priorbox"
  prior_box_param {{ {priors} variance: 0.1 variance: 0.1 variance: 0.2 variance: 0.2 }} }}
"""
    )


def concat(name: str, axis: int) -> str:
    return f"""
layer {{ name: "mbox_{name}" type: "Concat" bottom: "norm_{name}" bottom: "conv4_{name}" top: "mbox_{name}"
  concat_param {{ axis: {axis} }} }}
"""


def detector() -> str:
    data = "".join(
        f"""layer {{ name: "data" type: "AnnotatedData" top: "data" top: "label" include {{ phase: {phase} }}
  data_param {{ source: "squares" backend: LMDB batch_size: {BATCH} }}
  transform_param {{ mean_value: 100 scale: 0.02 {more} resize_param {{ height: {SIZE} width: {SIZE} }} }}
  annotated_data_param {{ {sampler} }} }}
"""
        for phase, more, sampler in (
            ("TRAIN", "mirror: true emit_constraint { }", "batch_sampler { max_sample: 1 max_trials: 1 }"),
            ("TEST", "", ""),
        )
    )
    return (
        'name: "ssd"\n'
        + data
        + convolution("conv1", "data", 12, 2)
        + convolution("conv2", "conv1", 16, 2)
        + convolution("conv3", "conv2", 24, 2)
        + """layer { name: "norm" type: "Normalize" bottom: "conv3" top: "norm"
  norm_param { across_spatial: false channel_shared: false scale_filler { type: "constant" value: 10 } } }
"""
        + convolution("conv4", "conv3", 24, 2)
        + head("norm", "min_size: 12 max_size: 22", 2)
        + head("conv4", "min_size: 20 max_size: 30 aspect_ratio: 2", 4)
        + concat("loc_flat", 1)
        + concat("conf_flat", 1)
        + concat("priorbox", 2)
        + """
layer { name: "mbox_loss" type: "MultiBoxLoss" bottom: "mbox_loc_flat" bottom: "mbox_conf_flat" bottom: "mbox_priorbox"
  bottom: "label" top: "mbox_loss" include { phase: TRAIN }
  propagate_down: true propagate_down: true propagate_down: false propagate_down: false
  multibox_loss_param { num_classes: 3 code_type: CENTER_SIZE overlap_threshold: 0.5 } }
layer { name: "reshape" type: "Reshape" bottom: "mbox_conf_flat" top: "conf" include { phase: TEST }
  reshape_param { shape { dim: 0 dim: -1 dim: 3 } } }
layer { name: "softmax" type: "Softmax" bottom: "conf" top: "prob" softmax_param { axis: 2 } include { phase: TEST } }
layer { name: "flat" type: "Flatten" bottom: "prob" top: "scores" include { phase: TEST } }
layer { name: "out" type: "DetectionOutput" bottom: "mbox_loc_flat" bottom: "scores" bottom: "mbox_priorbox"
  top: "found" include { phase: TEST } detection_output_param { num_classes: 3 code_type: CENTER_SIZE keep_top_k: 20
    confidence_threshold: 0.01 nms_param { nms_threshold: 0.45 top_k: 40 } } }
layer { name: "eval" type: "DetectionEvaluate" bottom: "found" bottom: "label" top: "eval" include { phase: TEST }
  detection_evaluate_param { num_classes: 3 } }
"""
    )


def test_a_detector_learns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.chdir(tmp_path)
    write_store(tmp_path)
    (tmp_path / "ssd.prototxt").write_text(detector())
    (tmp_path / "solver.prototxt").write_text(
        'net: "ssd.prototxt" test_iter: 8 test_interval: 1000 test_initialization: false base_lr: 0.005 type: "Adam" '
        'momentum: 0.9 momentum2: 0.999 lr_policy: "fixed" max_iter: 1000 random_seed: 1 eval_type: "detection" '
        'ap_version: "11point" show_per_class_result: true snapshot_after_train: false'
    )
    solver = bicerin.Solver(tmp_path / "solver.prototxt")
    losses = [solver.net.run_forward()]
    solver.step(150)
    losses.append(solver.net.run_forward())
    assert losses[1] < losses[0] / 3

    with caplog.at_level(logging.INFO):
        result = solver.test()
    assert result is not None and result["eval"] > 0.8
    for line in ("class1: 0.", "class2: 0.", f"Test net output #0: eval = {result['eval']:g}"):
        assert line in caplog.text
    weights = solver.net.save(tmp_path / "ssd.caffemodel")
    line = ["test", "ssd.prototxt", "--weights", str(weights), "--iterations", "8", "--json"]
    shown = CliRunner().invoke(command_line, line, catch_exceptions=False)
    assert json.loads(shown.stdout)["outputs"]["eval"] > 0.8

    test = solver.test_nets[0]
    boxes = test.blob("found").data[0, 0]
    assert (boxes[:, 1] > 0).all() and (boxes[:, 2] <= 1).all()


def test_priors_get_no_gradient(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The prior boxes lie between what learns and the loss, but nothing runs backward through them."""
    monkeypatch.chdir(tmp_path)
    write_store(tmp_path)
    (tmp_path / "ssd.prototxt").write_text(detector())
    with bicerin.Net(tmp_path / "ssd.prototxt", phase="TRAIN") as net:
        runs = {node.name: node.wants_backward for node in net.nodes}
        assert not runs["norm_priorbox"] and not runs["mbox_priorbox"]
        assert runs["mbox_loss"] and runs["conv1"]
        net.forward_backward()
        assert all(np.abs(blob.diff).sum() > 0 for blob in net.learnable_params)
