"""The schema: every number under which a fork holds a field is read."""

from __future__ import annotations

from importlib.resources import files

import pytest

import bicerin_proto
from bicerin.schema.installed_schema import layer_owners, schema


def field(number: int, data: bytes) -> bytes:
    """A field of wire type 2."""
    key, out = number << 3 | 2, b""
    for value in (key, len(data)):
        while value > 127:
            out, value = out + bytes([value & 127 | 128]), value >> 7
        out += bytes([value])
    return out + data


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
        layer = field(1, b"x") + field(2, layer_type.encode()) + field(number, bytes([number_inside << 3, 9]))
        net = bicerin_proto.read_net(field(100, layer), schema(), owners=layer_owners()).message
        assert getattr(getattr(net.layer[0], name), inner) == 9


def test_one_number_of_two_forks() -> None:
    """2 is the batch size in warpctc-caffe, whose field is 201, and the axis in jolibrain's, whose field is 158."""
    for number, name in ((201, "batch_size"), (158, "axis")):
        layer = field(1, b"x") + field(2, b"ContinuationIndicator") + field(number, bytes([2 << 3, 3]))
        net = bicerin_proto.read_net(field(100, layer), schema(), owners=layer_owners()).message
        param = net.layer[0].continuation_indicator_param
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
