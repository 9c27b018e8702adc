"""A layer as a binary file of a fork holds it: its parameter under a number, of which a schema says what it means."""

from __future__ import annotations

from typing import Any

from bicerin.schema.installed_schema import layer_owners, schema
from bicerin_proto import read_net
from bicerin_proto.wire import delimited


def binary_net(layer_type: str, number: int, param: bytes) -> bytes:
    """A net in binary, of one layer of this type, whose field of this number is a message of these bytes."""
    return delimited(100, delimited(1, b"x") + delimited(2, layer_type.encode()) + delimited(number, param))


def read_binary_layer(layer_type: str, number: int, param: bytes, fork: str | None = None) -> Any:
    """The `LayerParameter` that the installed schema reads from such a net, of this fork where one is named."""
    net = read_net(binary_net(layer_type, number, param), schema(), owners=layer_owners(), fork=fork)
    return net.message.layer[0]
