"""Give the fields of a binary message the numbers that they have in a merged schema.

Forks used the same numbers for different things, and only the layer's type tells which fork a layer is from. So each
layer is first read for its type alone; then a number in it, and in the messages inside it, means what the plugin
that owns the type says it means, or else what Caffe says, or else what some other plugin says.
"""

from __future__ import annotations

from collections.abc import Mapping

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from bicerin_proto import wire
from bicerin_proto.errors import DecodeError
from bicerin_proto.layer_types import v1_layer_type
from bicerin_proto.meaning import Meaning, Meanings

_LAYER, _V1_LAYER = "caffe.LayerParameter", "caffe.V1LayerParameter"
_TYPE, _V1_TYPE = 2, 5
_DEEPEST = 100


class Renumberer:
    """Renumbers binary messages of one merged schema.

    Args:
        meanings: what the numbers may stand for.
        owners: the distribution that owns each layer type.
    """

    def __init__(self, meanings: Meanings, owners: Mapping[str, str]) -> None:
        self._meanings = meanings
        self._owners = owners
        self._concerned: dict[str, bool] = {}

    def renumbered(self, data: bytes, descriptor: Descriptor) -> bytes:
        """Return a message of the type `descriptor` with the numbers of the merged schema.

        Raises:
            DecodeError: a layer uses a field that providers disagree about.
            WireError: the data is not a message, or one that is nested deeper than protobuf reads.
        """
        if not self._concerns(descriptor):
            return data
        return self._message(memoryview(data), 0, len(data), descriptor, None, 0)

    def _concerns(self, descriptor: Descriptor | None) -> bool:
        """Tell whether anything in such a message, or in the messages inside it, may have another number."""
        if descriptor is None:
            return False
        known = self._concerned.get(descriptor.full_name)
        if known is None:
            self._concerned[descriptor.full_name] = False  # A message inside itself adds nothing.
            known = descriptor.full_name in self._meanings or any(
                self._concerns(field.message_type)
                or (field.enum_type is not None and field.enum_type.full_name in self._meanings)
                for field in descriptor.fields
            )
            self._concerned[descriptor.full_name] = known
        return known

    def _message(
        self, data: memoryview, begin: int, end: int, descriptor: Descriptor, owner: str | None, depth: int
    ) -> bytes:
        if depth > _DEEPEST:
            raise wire.WireError(f"messages are nested more than {_DEEPEST} deep at byte {begin}")
        if descriptor.full_name in (_LAYER, _V1_LAYER):
            owner = self._owner(data, begin, end, descriptor)
        meanings = self._meanings.get(descriptor.full_name, {})
        parts: list[bytes | memoryview] = []
        for found in wire.fields(data, begin, end):
            number = self._number(meanings.get(found.number, ()), found, descriptor, owner)
            field = descriptor.fields_by_number.get(number)
            key = wire.tag(number, found.wire_type)
            if field is not None and found.wire_type == wire.LENGTH and self._concerns(field.message_type):
                inner = self._message(data, found.begin, found.end, field.message_type, owner, depth + 1)
                parts += [key, wire.encoded_varint(len(inner)), inner]
            elif field is not None and self._is_translated(field, found):
                value = self._value(field, wire.varint(data, found.begin)[0], owner)
                parts += [key, wire.encoded_varint(value)]
            elif number != found.number:
                parts += [key, data[wire.varint(data, found.start)[1] : found.end]]
            else:
                parts.append(data[found.start : found.end])
        return b"".join(parts)

    def _number(
        self, meanings: list[Meaning] | tuple[()], found: wire.WireField, descriptor: Descriptor, owner: str | None
    ) -> int:
        possible = [meaning for meaning in meanings if found.wire_type in meaning.wire_types]
        if not possible:
            return found.number
        meaning = _of_owner(possible, owner)
        if meaning.number is None:
            assert meaning.conflict is not None
            raise DecodeError(
                f"field {found.number} of a {descriptor.name}: {meaning.conflict.reason} {meaning.conflict.hint}"
            )
        return meaning.number

    def _is_translated(self, field: FieldDescriptor, found: wire.WireField) -> bool:
        return (
            field.enum_type is not None
            and field.enum_type.full_name in self._meanings
            and found.wire_type == wire.VARINT
        )

    def _value(self, field: FieldDescriptor, number: int, owner: str | None) -> int:
        possible = self._meanings[field.enum_type.full_name].get(number)
        value = _of_owner(possible, owner).number if possible else None
        return number if value is None else value

    def _owner(self, data: memoryview, begin: int, end: int, descriptor: Descriptor) -> str | None:
        layer_type = ""
        for found in wire.fields(data, begin, end):
            if descriptor.full_name == _LAYER and (found.number, found.wire_type) == (_TYPE, wire.LENGTH):
                layer_type = bytes(data[found.begin : found.end]).decode(errors="replace")
            elif descriptor.full_name == _V1_LAYER and (found.number, found.wire_type) == (_V1_TYPE, wire.VARINT):
                enum = descriptor.fields_by_number[_V1_TYPE].enum_type
                value = enum.values_by_number.get(wire.varint(data, found.begin)[0])
                layer_type = v1_layer_type(value) if value is not None else ""
        return self._owners.get(layer_type)


def _of_owner(possible: list[Meaning], owner: str | None) -> Meaning:
    """Return what the owner says, or else the likeliest: Caffe's meaning stands first."""
    return next((meaning for meaning in possible if owner in meaning.distributions), possible[0])
