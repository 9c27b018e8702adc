"""The fields, under the numbers of the forks that have them."""

from __future__ import annotations

from importlib.resources import files

import pytest

import bicerin_proto
from bicerin.errors import DecodeError
from bicerin.schema.installed_schema import schema
from bicerin.testing.binary_layer import read_binary_layer
from bicerin_proto.wire import FIXED32, tag


@pytest.mark.parametrize(("layer_type", "name", "inner", "number_inside", "number"), [
    ("CenterLoss", "center_loss_param", "num_output", 1, 211),
    ("MarginInnerProduct", "margin_inner_product_param", "num_output", 1, 232),
    ("InnerDistance", "inner_distance_param", "num_output", 1, 213),
    ("LargeMarginInnerProduct", "largemargin_inner_product_param", "num_output", 1, 227),
    ("LabelSpecificAdd", "label_specific_add_param", "iteration", 8, 241),
])  # fmt: skip
def test_every_number_is_read(layer_type: str, name: str, inner: str, number_inside: int, number: int) -> None:
    layer = read_binary_layer(layer_type, number, bytes([number_inside << 3, 9]))
    assert getattr(getattr(layer, name), inner) == 9


def test_one_number_of_two_forks() -> None:
    """147 is what SphereFace's fork and that of center loss both took, for different things."""
    data = bytes([1 << 3, 9])
    assert read_binary_layer("CenterLoss", 147, data, "caffe-face").center_loss_param.num_output == 9
    assert read_binary_layer("MarginInnerProduct", 147, data, "sphereface").margin_inner_product_param.num_output == 9
    with pytest.raises(DecodeError, match=r'"center_loss_param" in files of caffe-face; "margin_inner_product_param"'):
        read_binary_layer("MarginInnerProduct", 147, data)


def test_the_margin_of_triplets_under_both_numbers() -> None:
    for number in (142, 203):
        assert read_binary_layer("TripletLoss", number, tag(1, FIXED32) + bytes(4)).triplet_loss_param.margin == 0


@pytest.mark.parametrize("text", [
    "layer { center_loss_param { num_output: 10 center_filler { std: 1 } } focal_loss_param { type: ONEADDP } }",
    "layer { margin_inner_product_param { type: QUADRUPLE base: 1000 gamma: 0.12 power: 1 lambda_min: 5 } }",
    "layer { label_specific_add_param { bias: -0.35 } triplet_loss_param { margin: 0.2 } flip_param { } }",
    "layer { general_contrastive_loss_param { } general_triplet_loss_param { } truncation_param { lower_bound: 1 } }",
])  # fmt: skip
def test_text(text: str) -> None:
    net = bicerin_proto.read_net(text, schema(), upgrade=False).message
    assert type(net).FromString(net.SerializeToString()) == net


def test_the_compiled_schema_is_current() -> None:
    assert bicerin_proto.check_current(files("bicerin_face") / "face.proto")
