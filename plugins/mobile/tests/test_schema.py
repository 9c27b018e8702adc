"""The schema: every number under which a fork holds a field is read, and older nets."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

import bicerin
import bicerin_proto
from bicerin.cli.command_line import command_line
from bicerin.errors import DecodeError, UnknownNameError
from bicerin.schema.installed_schema import layer_owners, read_net, schema
from bicerin.testing.binary_layer import binary_net, read_binary_layer
from bicerin_proto.wire import FIXED32, VARINT, delimited, tag


@pytest.mark.parametrize(("layer_type", "name", "inner", "number", "numbers"), [
    ("BN", "bn_param", "bn_mode", 3, [45, 137, 139, 200]),
    ("Upsample", "upsample_param", "scale", 1, [150, 147]),
    ("Interp", "interp_param", "height", 1, [163, 301]),
    ("ShuffleChannel", "shuffle_channel_param", "group", 1, [164]),
])  # fmt: skip
def test_every_number_is_read(layer_type: str, name: str, inner: str, number: int, numbers: list[int]) -> None:
    for one in numbers:
        layer = read_binary_layer(layer_type, one, tag(number, VARINT) + b"\x01")
        assert layer.HasField(name) and getattr(getattr(layer, name), inner) == 1


def test_older_nets() -> None:
    net = bicerin_proto.read_net('layers { name: "a" type: BN } layers { name: "b" type: RELU6 }', schema())
    assert [layer.type for layer in net.message.layer] == ["BN", "ReLU6"]


def binary(number: int, *fields: bytes) -> bytes:
    """A net with one layer, a BN whose `bn_param` has a fork's number and fields."""
    return binary_net("BN", number, b"".join(fields))


FILLER = delimited(1, delimited(1, b"constant"))  # field 1 of bn_param: a FillerParameter of that type
MOMENTUM = tag(3, FIXED32) + b"\x00\x00\x00\x3f"  # field 3 = 0.5, a float
MOVING = tag(4, VARINT) + b"\x01"  # field 4 = true
MODE = tag(3, VARINT) + b"\x01"  # field 3 = 1


@pytest.mark.parametrize(("data", "given"), [
    (binary(45, FILLER, MODE), {"scale_filler", "bn_mode"}),
    (binary(139, FILLER, MOMENTUM), {"slope_filler", "momentum"}),
    (binary(200, FILLER), {"slope_filler"}),
    (binary(137, FILLER, MOVING), {"scale_filler", "moving_average"}),
])  # fmt: skip
def test_a_forks_fields_by_their_numbers(data: bytes, given: set[str]) -> None:
    """What one number means in BN follows from the number of bn_param, and from the kinds of the other values."""
    read = bicerin_proto.read_net(data, schema(), owners=layer_owners()).message.layer[0]
    assert {one.name for one, _ in read.bn_param.ListFields()} == given


def test_numbers_that_only_a_name_tells_apart(tmp_path: Path) -> None:
    path = tmp_path / "net.binary"
    path.write_bytes(binary(137, FILLER, MOMENTUM))
    with pytest.raises(
        DecodeError, match=r'"scale_filler" in files of segnet and weiliu89; "slope_filler" in files of'
    ):
        read_net(path)
    with pytest.raises(UnknownNameError, match=r'numbers of a fork "yjxion"\. Did you mean "yjxiong"\?'):
        bicerin.Net(path, schema="yjxion")
    for name, filler in (("yjxiong", "slope_filler"), ("weiliu89", "scale_filler")):
        target = tmp_path / "net.prototxt"
        arguments = ["upgrade", "net", str(path), str(target), "--text", "--schema", name]
        result = CliRunner().invoke(command_line, arguments)
        assert result.exit_code == 0, result.output
        assert filler in target.read_text()
