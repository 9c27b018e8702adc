"""Where the layers of a net stood in its file. Upgrades move layers, and move these with them."""

from __future__ import annotations

from dataclasses import dataclass, field

from google.protobuf.message import Message

from bicerin_proto.errors import ParseError, ProtoError
from bicerin_proto.tokens import Place


def error_at(place: Place | None, reason: str) -> ProtoError:
    """Return an error about what stood at `place`, to be raised; the reader of the file adds the file's name."""
    if place is None:
        return ProtoError(reason)
    return ParseError(reason, line=place.line, column=place.column)


@dataclass
class NetPlaces:
    """Places parallel to the fields of a NetParameter; None for a layer that stood in no text.

    Attributes:
        layer, layers: the layers of today's format and of the older ones.
        input: the names of net inputs, which become an Input layer.
    """

    layer: list[Place | None] = field(default_factory=list)
    layers: list[Place | None] = field(default_factory=list)
    input: list[Place | None] = field(default_factory=list)

    @classmethod
    def unknown(cls, net: Message) -> NetPlaces:
        """Return the places of a net that was not read from text."""
        return cls([None] * len(net.layer), [None] * len(net.layers), [None] * len(net.input))
