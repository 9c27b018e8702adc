"""What `bench/nets.py` gives to its peers: any prototxt, with weights, inputs and a loss where it has none."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from bicerin import Net
from bicerin.errors import NetError

sys.path.insert(0, str(Path(__file__).parents[4] / "bench"))
import case
import models

DEPLOY = """
input: "data" input_dim: 1 input_dim: 3 input_dim: 6 input_dim: 6
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv" convolution_param { num_output: 4 kernel_size: 3 } }
layer { name: "prob" type: "Softmax" bottom: "conv" top: "prob" }
"""


@pytest.fixture
def deploy(tmp_path: Path) -> str:
    path = tmp_path / "deploy.prototxt"
    path.write_text(DEPLOY)
    return str(path)


def test_every_peer_finds_its_file(tmp_path: Path) -> None:
    made = case.write("lenet", 2, False, tmp_path)
    assert not made.refused
    names = {"net.prototxt", "net.caffemodel", "net.onnx", "net.py", "net.safetensors", "inputs.npz", "case.json"}
    assert names <= {path.name for path in tmp_path.iterdir()}
    assert json.loads((tmp_path / "case.json").read_text())["outputs"] == ["prob"]
    # 20 x 24 x 24 x 25, 50 x 8 x 8 x 500, 800 x 500 and 500 x 10 multiplications an image, each with an addition.
    assert made.operations == 2 * 2 * (288_000 + 1_600_000 + 400_000 + 5_000)


def test_a_file_takes_the_batch_size_and_gets_weights(deploy: str, tmp_path: Path) -> None:
    case.write(deploy, 3, False, tmp_path)
    net = Net(tmp_path / "net.prototxt", "TEST", weights=tmp_path / "net.caffemodel")
    with np.load(tmp_path / "inputs.npz") as inputs:
        assert inputs["data"].shape == (3, 3, 6, 6)
        net.forward(data=inputs["data"])
    assert abs(net.blobs["conv"].data.std() - 1) < 1e-3


def test_a_file_without_a_loss_is_trained_with_one(deploy: str, tmp_path: Path) -> None:
    made = case.write(deploy, 2, True, tmp_path)
    assert made.losses == ["loss"]
    with np.load(tmp_path / "inputs.npz") as inputs:
        assert inputs["label"].shape == (2, 4, 4)
        assert set(np.unique(inputs["label"])) <= {0, 1, 2, 3}


def test_a_net_that_reads_files_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "train_val.prototxt"
    path.write_text('layer { name: "d" type: "ImageData" top: "d" top: "l" image_data_param { source: "list" } }')
    with pytest.raises(NetError, match=r'layer "d" \(ImageData\) reads files'):
        case.write(str(path), 1, False, tmp_path)


@pytest.mark.parametrize("name", ["inception_v2", "mobilenet_ssd", "enet"])
def test_nets_are_built(name: str) -> None:
    assert Net(models.prototxt(name, 1, False), "TEST", seed=0).outputs
