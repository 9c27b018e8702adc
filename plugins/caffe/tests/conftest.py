"""Nets and solvers in files, as scripts written for pycaffe have them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import caffe
from bicerin_caffe import settings

SIMPLE = """
name: "simple" force_backward: true
layer { type: "DummyData" name: "data" top: "data" top: "label"
  dummy_data_param { num: 5 channels: 2 height: 3 width: 4 num: 5 channels: 1 height: 1 width: 1
    data_filler { type: "gaussian" std: 1 } data_filler { type: "constant" } } }
layer { type: "Convolution" name: "conv" bottom: "data" top: "conv"
  convolution_param { num_output: 11 kernel_size: 2 pad: 3
    weight_filler { type: "gaussian" std: 1 } bias_filler { type: "constant" value: 2 } }
  param { decay_mult: 1 } param { decay_mult: 0 } }
layer { type: "InnerProduct" name: "ip" bottom: "conv" top: "ip"
  inner_product_param { num_output: 13
    weight_filler { type: "gaussian" std: 2.5 } bias_filler { type: "constant" value: -3 } } }
layer { type: "SoftmaxWithLoss" name: "loss" bottom: "ip" bottom: "label" top: "loss" }
"""

AFFINE = """
name: "affine" force_backward: true
layer { type: "Input" name: "data" top: "data" input_param { shape { dim: 4 dim: 3 } } }
layer { type: "InnerProduct" name: "ip" bottom: "data" top: "ip"
  inner_product_param { num_output: 2
    weight_filler { type: "gaussian" std: 1 } bias_filler { type: "constant" value: 1 } } }
"""

SOLVER = """
net: "{net}" test_iter: 10 test_interval: 10 base_lr: 0.01 momentum: 0.9 weight_decay: 0.0005
lr_policy: "inv" gamma: 0.0001 power: 0.75 display: 100 max_iter: 100 snapshot_after_train: false
snapshot_prefix: "{prefix}" {more}
"""


@pytest.fixture(autouse=True)
def _mode_is_cpu_again() -> Iterator[None]:
    yield
    caffe.set_mode_cpu()


@pytest.fixture
def on_the_device(device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With `--device`, every net that pycaffe makes in this process is made there, as after `set_mode_gpu()`."""
    if device != "cpu":
        monkeypatch.setattr(settings, "gpu_or_cpu", lambda device_id: device)
        caffe.set_mode_gpu()


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str, str], str]:
    """Write a text to a file of this name; returns its path."""

    def written(name: str, text: str) -> str:
        path = tmp_path / name
        path.write_text(text)
        return str(path)

    return written


@pytest.fixture
def net_file(write: Any) -> str:
    return write("net.prototxt", SIMPLE)


@pytest.fixture
def net(net_file: str) -> caffe.Net:
    made = caffe.Net(net_file, caffe.TRAIN)
    made.blobs["label"].data[...] = np.arange(5).reshape(5, 1, 1, 1)
    return made


@pytest.fixture
def affine(write: Any) -> caffe.Net:
    return caffe.Net(write("affine.prototxt", AFFINE), caffe.TEST)


@pytest.fixture
def solver_file(write: Any, net_file: str, tmp_path: Path) -> Callable[..., str]:
    """Write a solver's prototxt with some more fields; returns its path."""

    def written(more: str = "") -> str:
        return write("solver.prototxt", SOLVER.format(net=net_file, prefix=tmp_path / "model", more=more))

    return written
