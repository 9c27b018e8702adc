"""Which distribution brings what."""

from __future__ import annotations

import pytest

from bicerin_proto.known import field_distribution, layer_distribution, layer_types


@pytest.mark.parametrize(
    ("layer", "distribution"),
    [
        ("Input", "bicerin"),
        ("Convolution", "bicerin-convolution"),
        ("LSTMUnit", "bicerin-recurrent"),
        ("PriorBox", "bicerin-ssd"),
        ("Axpy", "bicerin-mobile"),
        ("Proposal", "bicerin-rcnn"),
        ("Nonsense", None),
    ],
)
def test_layers(layer, distribution):
    assert layer_distribution(layer) == distribution


def test_all_of_caffes_own_types_are_known():
    ours = [name for name in layer_types() if layer_distribution(name) not in _PACKS]
    assert len(ours) == len(set(ours)) == 61


_PACKS = ("bicerin-rcnn", "bicerin-ssd", "bicerin-mobile")


def test_fields():
    assert field_distribution("roi_pooling_param") == "bicerin-rcnn"
    assert field_distribution("pooling_param") is None
