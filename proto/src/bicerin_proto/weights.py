"""Read the weights of a net, whichever fork of Caffe wrote them.

A binary file is read with the few fields that all forks share (weights.proto); text is read with Caffe's schema, and
what that does not know is skipped.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple

from google.protobuf.message import Message

from bicerin_proto import wire
from bicerin_proto.content import Content, read_content
from bicerin_proto.decode import decode
from bicerin_proto.errors import DecodeError
from bicerin_proto.layer_types import V0_TYPES, V1_TYPES
from bicerin_proto.schema import Schema, default_schema
from bicerin_proto.text import parse_text


class LayerWeights(NamedTuple):
    """The weights of a layer. `type` is today's name; for a V1 type that only a fork has, it is the enum's number."""

    name: str
    type: str
    blobs: list[Any]


@dataclass(frozen=True)
class Weights:
    """The weights of a net, layer by layer in the order of the file: iterate over it.

    Attributes:
        name: the net's name.
        path: the file, or None.
        layers: every layer of the net, with its name, its type and its BlobProtos (of Caffe's own schema).
    """

    name: str
    path: Path | None
    layers: list[LayerWeights]

    def __iter__(self) -> Iterator[LayerWeights]:
        return iter(self.layers)

    def __len__(self) -> int:
        return len(self.layers)


def read_weights(source: str | bytes | PathLike[str] | Message) -> Weights:
    """Read the weights in a file, in bytes, in text or in a NetParameter.

    Raises:
        ProtoError: there is no such file.
        DecodeError: the data is truncated, or holds no layer.
        ParseError: the text does not parse.
    """
    if isinstance(source, Message):
        return _weights(_minimal("Net").FromString(source.SerializePartialToString()), None)
    content = read_content(source)
    net = _from_text(content) if content.text is not None else _from_binary(content)
    if not net.layer and not net.layers:
        raise DecodeError(
            f"{content.name}: not a single layer in {content.size} bytes; expected the weights of a net "
            "(a caffemodel: a binary NetParameter)"
        )
    return _weights(net, content.path)


@functools.cache
def _minimal(name: str) -> Any:
    return Schema.message_class(default_schema().pool.FindMessageTypeByName(f"bicerin.weights.{name}"))


def _from_binary(content: Content) -> Any:
    net, data = _minimal("Net")(), content.binary or b""
    try:
        decode(data, net, content.name, "NetParameter")
    except DecodeError:
        if _is_solver_state(data):
            raise DecodeError(
                f"{content.name}: a solver state, not the weights of a net; those are in the .caffemodel beside it"
            ) from None
        raise
    return net


def _is_solver_state(data: bytes) -> bool:
    """Whether it begins as a SolverState does, with the iteration and then the path of the weights or a history."""
    try:
        first, second = itertools.islice(wire.fields(data), 2)
    except ValueError:
        return False
    return (first.number, first.wire_type, second.wire_type) == (1, wire.VARINT, wire.LENGTH)


def _from_text(content: Content) -> Any:
    schema = default_schema()
    net = schema.NetParameter()
    parse_text(content.text or "", net, schema, path=content.path, skip_unknown=True)
    return _minimal("Net").FromString(net.SerializePartialToString())


def _weights(net: Any, path: Path | None) -> Weights:
    return Weights(_text(net.name), path, [_v1(layer) for layer in net.layers] + [_layer(layer) for layer in net.layer])


def _layer(layer: Any) -> LayerWeights:
    return LayerWeights(_text(layer.name), _text(layer.type), list(layer.blobs))


def _v1(layer: Any) -> LayerWeights:
    if layer.HasField("layer"):
        name, blobs = layer.layer.name, layer.layer.blobs
        v0_type = _text(layer.layer.type)
        return LayerWeights(_text(name), V1_TYPES.get(V0_TYPES.get(v0_type, ""), v0_type), list(blobs))
    enum = default_schema().V1LayerParameter.LayerType.DESCRIPTOR.values_by_number.get(layer.type)
    return LayerWeights(_text(layer.name), V1_TYPES[enum.name] if enum else str(layer.type), list(layer.blobs))


def _text(raw: bytes) -> str:
    return raw.decode(errors="replace")
