"""The same models in OpenVINO, where it is installed: a second reader, beside the one that models are compared in."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bicerin import Net
from bicerin_onnx import export
from bicerin_onnx.verification import difference

openvino = pytest.importorskip("openvino")

RECORDED = Path(__file__).parents[3] / "tests" / "recorded" / "models"
LAYERS = {
    "detector": """
layer { name: "loc" type: "Convolution" bottom: "data" top: "loc" convolution_param { num_output: 8 kernel_size: 3
  stride: 4 pad: 1 weight_filler { type: "xavier" } } }
layer { name: "loc_perm" type: "Permute" bottom: "loc" top: "loc_perm" permute_param { order: [0, 2, 3, 1] } }
layer { name: "loc_flat" type: "Flatten" bottom: "loc_perm" top: "loc_flat" }
layer { name: "conf" type: "Convolution" bottom: "data" top: "conf" convolution_param { num_output: 6 kernel_size: 3
  stride: 4 pad: 1 weight_filler { type: "xavier" } } }
layer { name: "conf_perm" type: "Permute" bottom: "conf" top: "conf_perm" permute_param { order: [0, 2, 3, 1] } }
layer { name: "conf_rows" type: "Reshape" bottom: "conf_perm" top: "conf_rows"
  reshape_param { shape { dim: 0 dim: -1 dim: 3 } } }
layer { name: "prob" type: "Softmax" bottom: "conf_rows" top: "prob" softmax_param { axis: 2 } }
layer { name: "conf_flat" type: "Flatten" bottom: "prob" top: "conf_flat" }
layer { name: "priors" type: "PriorBox" bottom: "loc" bottom: "data" top: "priors" prior_box_param { min_size: 6
  max_size: 9 variance: [0.1, 0.1, 0.2, 0.2] } }
layer { name: "found" type: "DetectionOutput" bottom: "loc_flat" bottom: "conf_flat" bottom: "priors" top: "found"
  detection_output_param { num_classes: 3 code_type: CENTER_SIZE keep_top_k: 9 confidence_threshold: 0.2
  nms_param { nms_threshold: 0.45 top_k: 20 } } }
""",
    "unpooling": """
layer { name: "pool" type: "Pooling" bottom: "data" top: "pool" top: "mask" pooling_param { kernel_size: 2 stride: 2 } }
layer { name: "up" type: "Upsample" bottom: "pool" bottom: "mask" top: "up" upsample_param { scale: 2 } }
layer { name: "norm" type: "LRN" bottom: "up" top: "norm" lrn_param { local_size: 3 norm_region: WITHIN_CHANNEL } }
layer { name: "average" type: "Pooling" bottom: "norm" top: "average" pooling_param { pool: AVE kernel_size: 3
  stride: 2 pad: 1 } }
""",
}


def run(built: Net, path: Path) -> None:
    export(built, path)
    # On some processors OpenVINO would compute in bfloat16.
    compiled = openvino.Core().compile_model(path, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    (name,) = built.inputs
    x = np.random.default_rng(0).normal(size=built.blobs[name].shape).astype(np.float32)
    expected = built.forward({name: x})
    found = compiled({name: x})
    assert {output.get_any_name() for output in compiled.outputs} == set(expected)
    for output in compiled.outputs:
        assert difference(found[output], expected[output.get_any_name()]) < 1e-4


@pytest.mark.parametrize("name", ["lenet", "det1", "det2"])
def test_trained_nets(name: str, tmp_path: Path) -> None:
    run(
        Net(RECORDED / f"{name}.prototxt", "TEST", weights=RECORDED / f"{name}.caffemodel"),
        tmp_path / "net.onnx",
    )


@pytest.mark.parametrize("name", LAYERS)
def test_small_nets(name: str, tmp_path: Path) -> None:
    data = 'layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 2 dim: 3 dim: 16 dim: 16 } } }'
    run(Net(data + LAYERS[name], "TEST", seed=1), tmp_path / "net.onnx")
