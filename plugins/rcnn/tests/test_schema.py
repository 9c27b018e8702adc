"""The schema: every number under which a fork holds a field is read."""

from __future__ import annotations

import pytest

import bicerin_proto
from bicerin.schema.installed_schema import schema
from bicerin.testing.binary_layer import read_binary_layer


@pytest.mark.parametrize(("layer_type", "name", "inner", "value", "numbers"), [
    ("ROIPooling", "roi_pooling_param", "pooled_h", 1, [8266711, 143, 147, 150, 154, 204]),
    ("PSROIAlign", "psroi_align_param", "sample_num", 4, [242]),
    ("SmoothL1Loss", "smooth_l1_loss_param", None, None, [8266712, 148, 149, 202]),
    ("BoxAnnotatorOHEM", "box_annotator_ohem_param", "roi_per_img", 1, [10000, 152]),
    ("PSROIPooling", "psroi_pooling_param", "output_dim", 2, [10001, 153, 220, 10002]),
    ("Proposal", "proposal_param", "feat_stride", 1, [219, 201, 8266713]),
])  # fmt: skip
def test_every_number_is_read(layer_type: str, name: str, inner: str | None, value: int, numbers: list[int]) -> None:
    for number in numbers:
        data = bytes([value << 3, 7]) if inner else b"\r\x00\x00\x00\x40"  # a varint 7, or sigma = 2.0
        param = getattr(read_binary_layer(layer_type, number, data), name)
        assert (getattr(param, inner) == 7) if inner else (param.sigma == 2.0)


def test_one_number_of_two_forks() -> None:
    """Number 4 is Intel's pooled_size, a whole number, and a pad_ratio with a point elsewhere."""
    for number, fork in ((147, "cascade-rcnn"), (201, "frcnn"), (147, None)):
        param = read_binary_layer("ROIPooling", number, b"\x25\x00\x00\x80\x3e", fork).roi_pooling_param
        assert (param.pad_ratio, list(param.pooled_size)) == (0.25, [])
    assert read_binary_layer("ROIAlign", 201, b"\x28\x00", "frcnn").roi_pooling_param.bi_type == 0
    param = read_binary_layer("ROIPooling", 154, b"\x20\x07").roi_pooling_param
    assert (param.pad_ratio, list(param.pooled_size)) == (0, [7])


def test_text() -> None:
    net = bicerin_proto.read_net(
        'layer { type: "SmoothL1LossOHEM" loss_param { normalization: PRE_FIXED pre_fixed_normalizer: 128 } }',
        schema(),
    ).message
    loss_param = net.layer[0].loss_param
    mode = loss_param.DESCRIPTOR.fields_by_name["normalization"].enum_type.values_by_number[loss_param.normalization]
    assert (mode.name, loss_param.pre_fixed_normalizer) == ("PRE_FIXED", 128)


def test_an_older_net() -> None:
    net = bicerin_proto.read_net('layers { name: "pool" type: ROIPOOLING bottom: "a" bottom: "b" top: "c" }', schema())
    assert net.message.layer[0].type == "ROIPooling"
