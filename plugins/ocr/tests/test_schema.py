"""The schema: every number under which a fork holds a field is read."""

from __future__ import annotations

from importlib.resources import files

import pytest

import bicerin_proto
from bicerin.schema.installed_schema import schema
from bicerin.testing.binary_layer import read_binary_layer


@pytest.mark.parametrize(("layer_type", "name", "inner", "number_inside", "numbers"), [
    ("CtcLoss", "ctc_loss_param", "time_step", 3, [200, 157]),
    ("ContinuationIndicator", "continuation_indicator_param", "time_step", 1, [201, 158]),
    ("LabelsequenceAccuracy", "labelsequence_accuracy_param", "blank_label", 1, [203, 159]),
    ("CTCGreedyDecoder", "ctc_decoder_param", "blank_index", 1, [149]),
    ("Lstm", "lstm_param", "num_output", 1, [140, 232]),
    ("Reverse", "reverse_param", "axis", 1, [143, 147, 209, 231]),
])  # fmt: skip
def test_every_number_is_read(layer_type: str, name: str, inner: str, number_inside: int, numbers: list[int]) -> None:
    for number in numbers:
        layer = read_binary_layer(layer_type, number, bytes([number_inside << 3, 9]))
        assert getattr(getattr(layer, name), inner) == 9


def test_one_number_of_two_forks() -> None:
    """2 is the batch size in warpctc-caffe, whose field is 201, and the axis in jolibrain's, whose field is 158."""
    for number, name in ((201, "batch_size"), (158, "axis")):
        layer = read_binary_layer("ContinuationIndicator", number, bytes([2 << 3, 3]))
        param = layer.continuation_indicator_param
        assert [one.name for one, _ in param.ListFields()] == [name]
        assert getattr(param, name) == 3


@pytest.mark.parametrize("text", [
    'layer { ctc_loss_param { alphabet_size: 37 time_step: 26 } labelsequence_accuracy_param { blank_label: 0 } }',
    'layer { transpose_param { dim: [3, 0, 2, 1] } reverse_param { axis: 1 } lstm_param { num_output: 128 } }',
    'layer { continuation_indicator_param { axis: 1 time_step: 26 batch_size: 64 } ctc_decoder_param { } }',
])  # fmt: skip
def test_text(text: str) -> None:
    net = bicerin_proto.read_net(text, schema(), upgrade=False).message
    assert type(net).FromString(net.SerializeToString()) == net


def test_the_compiled_schema_is_current() -> None:
    assert bicerin_proto.check_current(files("bicerin_ocr") / "ocr.proto")
