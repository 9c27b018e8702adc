"""The schema: text and binary files of SSD's Caffe and of the forks that gave its fields other numbers."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

import bicerin_proto
from bicerin.schema.installed_schema import layer_owners, schema
from bicerin.testing.binary_layer import read_binary_layer

TRANSFORM = """
  mirror: true mean_value: 104
  resize_param { prob: 1 resize_mode: WARP height: 300 width: 300 interp_mode: LINEAR interp_mode: AREA }
  emit_constraint { emit_type: CENTER }
  distort_param { brightness_prob: 0.5 brightness_delta: 32 random_order_prob: 0 }
  expand_param { prob: 0.5 max_expand_ratio: 4 }
  noise_param { gauss_blur: true saltpepper_param { fraction: 0.1 value: 3 } }
  crop_h: 3 crop_w: 4
"""
SAMPLER = """batch_sampler {
  sampler { min_scale: 0.3 max_aspect_ratio: 2 } sample_constraint { min_jaccard_overlap: 0.5 } max_sample: 1
}"""


@pytest.mark.parametrize(
    "text",
    [
        f'type: "AnnotatedData" annotated_data_param {{ {SAMPLER} label_map_file: "m" anno_type: BBOX }}',
        f'type: "Data" transform_param {{ {TRANSFORM} }}',
        'type: "PriorBox" prior_box_param { min_size: 60 max_size: 111 aspect_ratio: 2 variance: 0.1 offset: 0.5 }',
        'type: "Permute" permute_param { order: 0 order: 2 }',
        'type: "Normalize" norm_param { scale_filler { type: "constant" value: 20 } channel_shared: false }',
        'type: "DetectionOutput" detection_output_param { nms_param { nms_threshold: 0.45 eta: 1 top_k: 400 } '
        'code_type: CENTER_SIZE save_output_param { output_directory: "" resize_param { height: 3 width: 3 } } }',
        'type: "MultiBoxLoss" multibox_loss_param { loc_loss_type: L2 match_type: BIPARTITE mining_type: NONE }',
        'type: "DetectionEvaluate" detection_evaluate_param { num_classes: 21 name_size_file: "n" }',
    ],
)
def test_text_and_binary(text):
    net = bicerin_proto.read_net(f'name: "n" layer {{ {text} }}', schema()).message
    again = bicerin_proto.read_net(net.SerializeToString(), schema(), owners=layer_owners()).message
    assert again == net
    assert len(net.layer[0].ListFields()) == 2


def test_solvers():
    text = (
        'eval_type: "detection" ap_version: "11point" plateau_winsize: 3 show_per_class_result: true lr_policy: "step"'
    )
    solver = bicerin_proto.read_solver(text, schema()).message
    assert solver.eval_type == "detection"
    assert list(solver.plateau_winsize) == [3]
    assert schema().SolverParameter().ap_version == "Integral"


@pytest.mark.parametrize(
    ("layer_type", "field", "numbers"),
    [
        ("Permute", "permute_param", (202, 148, 224)),
        ("PriorBox", "prior_box_param", (203, 150)),
        ("DetectionOutput", "detection_output_param", (204, 147)),
        ("Normalize", "norm_param", (206, 149, 134)),
        ("AnnotatedData", "annotated_data_param", (200,)),
        ("MultiBoxLoss", "multibox_loss_param", (201,)),
        ("DetectionEvaluate", "detection_evaluate_param", (205,)),
    ],
)
def test_every_number_of_a_field(layer_type, field, numbers):
    for number in numbers:
        assert read_binary_layer(layer_type, number, b"").HasField(field), number


def test_several_resize_params_parse():
    net = bicerin_proto.read_net("layer { transform_param { resize_param { } resize_param { } } }", schema()).message
    assert len(net.layer[0].transform_param.resize_param) == 2


def test_the_compiled_schema_is_current():
    """Needs protoc: pip install "bicerin-proto[compile]"."""
    folder = importlib.util.find_spec("bicerin_ssd").submodule_search_locations[0]
    assert bicerin_proto.check_current(Path(folder) / "ssd.proto")
