"""The schema: every number under which a fork holds a field is read, and older nets."""

from __future__ import annotations

import pytest

import bicerin_proto
from bicerin.schema.installed_schema import layer_owners, schema


def varint(number: int) -> bytes:
    out = b""
    while number > 127:
        out, number = out + bytes([number & 127 | 128]), number >> 7
    return out + bytes([number])


def field(number: int, data: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(data)) + data


@pytest.mark.parametrize(("layer_type", "name", "inner", "number", "numbers"), [
    ("BN", "bn_param", "bn_mode", 3, [45, 137, 139, 200]),
    ("Upsample", "upsample_param", "scale", 1, [150, 147]),
    ("Interp", "interp_param", "height", 1, [163, 301]),
    ("ShuffleChannel", "shuffle_channel_param", "group", 1, [164]),
])  # fmt: skip
def test_every_number_is_read(layer_type: str, name: str, inner: str, number: int, numbers: list[int]) -> None:
    for one in numbers:
        layer = field(1, b"x") + field(2, layer_type.encode()) + field(one, varint(number << 3) + b"\x01")
        net = bicerin_proto.read_net(field(100, layer), schema(), owners=layer_owners()).message
        assert net.layer[0].HasField(name) and getattr(getattr(net.layer[0], name), inner) == 1


def test_older_nets() -> None:
    net = bicerin_proto.read_net('layers { name: "a" type: BN } layers { name: "b" type: RELU6 }', schema())
    assert [layer.type for layer in net.message.layer] == ["BN", "ReLU6"]
