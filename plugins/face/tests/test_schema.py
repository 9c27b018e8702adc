"""The fields, under the numbers of the forks that have them."""

from __future__ import annotations

from importlib.resources import files

import pytest

import bicerin_proto
from bicerin.schema.installed_schema import schema


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
