"""The same models in OpenVINO, where it is installed: a second reader, beside the one that models are compared in."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bicerin import Net
from bicerin_onnx import export
from bicerin_onnx.verification import difference

openvino = pytest.importorskip("openvino")
sys.path.insert(0, str(Path(__file__).parent))
import onnx_nets  # noqa: E402

RECORDED = Path(__file__).parents[3] / "tests" / "recorded" / "models"
NETS = {
    "detector": onnx_nets.DETECTOR,
    "segnet": onnx_nets.SEGNET,
    "fcn": onnx_nets.FCN,
    "unpooling": """
layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 2 dim: 3 dim: 16 dim: 16 } } }
layer { name: "pool" type: "Pooling" bottom: "data" top: "pool" top: "mask" pooling_param { kernel_size: 2 stride: 2 } }
layer { name: "up" type: "Upsample" bottom: "pool" bottom: "mask" top: "up" upsample_param { scale: 2 } }
layer { name: "norm" type: "LRN" bottom: "up" top: "norm" lrn_param { local_size: 3 norm_region: WITHIN_CHANNEL } }
layer { name: "average" type: "Pooling" bottom: "norm" top: "average" pooling_param { pool: AVE kernel_size: 3
  stride: 2 pad: 1 } }
""",
}


def run(built: Net, path: Path, inputs: dict[str, Any] | None = None, **options: Any) -> None:
    export(built, path, **options)
    # On some processors OpenVINO would compute in bfloat16.
    compiled = openvino.Core().compile_model(path, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    random = np.random.default_rng(0)
    given = inputs or {name: random.normal(size=built.blobs[name].shape) for name in built.inputs}
    expected = built.forward(given)
    found = compiled({name: np.asarray(array, np.float32) for name, array in given.items()})
    assert {output.get_any_name() for output in compiled.outputs} == set(expected)
    for output in compiled.outputs:
        assert found[output].shape == expected[output.get_any_name()].shape
        assert difference(found[output], expected[output.get_any_name()]) < 1e-4


@pytest.mark.parametrize("name", ["lenet", "det1", "det2"])
def test_trained_nets(name: str, tmp_path: Path) -> None:
    run(
        Net(RECORDED / f"{name}.prototxt", "TEST", weights=RECORDED / f"{name}.caffemodel"),
        tmp_path / "net.onnx",
    )


@pytest.mark.parametrize("name", NETS)
def test_small_nets(name: str, tmp_path: Path) -> None:
    run(Net(NETS[name], "TEST", seed=1), tmp_path / "net.onnx")


@pytest.mark.parametrize("opset", [13, 17, 18])
@pytest.mark.parametrize("operation", ["SUM", "ASUM", "SUMSQ", "MEAN"])
def test_sums_of_the_last_axes(operation: str, opset: int, tmp_path: Path) -> None:
    """At older versions OpenVINO does not read the axes of ReduceL1."""
    text = (
        'layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 2 dim: 3 dim: 4 } } } layer { name: '
        f'"sum" type: "Reduction" bottom: "data" top: "sum" reduction_param {{ operation: {operation} axis: 1 }} }}'
    )
    run(Net(text, "TEST"), tmp_path / "net.onnx", opset=opset)


def test_faster_rcnn(tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=(1, 3, 64, 96))
    run(Net(onnx_nets.RCNN, "TEST", seed=1), tmp_path / "net.onnx", {"data": x, "im_info": [[64, 96, 1.5]]})


def test_sequences(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    inputs = {"words": random.integers(0, 7, (5, 2)), "cont": random.integers(0, 2, (5, 2))}
    inputs["cont"][0] = 0
    run(Net(onnx_nets.WORDS, "TEST", seed=1), tmp_path / "net.onnx", inputs)
