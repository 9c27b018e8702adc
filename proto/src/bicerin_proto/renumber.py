"""Give the fields of a binary message the numbers that they have in a merged schema.

Forks used the same numbers for different things. Two things tell which fork a layer is from: its type, and numbers and
kinds of values that only some forks have.

So each layer is first read for its type alone; a number in it, and in the messages inside it, means what the plugin
that owns the type says it means, or else what Caffe says, or else what some other plugin says. Where a plugin says that
a number has a meaning in files of certain forks only, the fork that was named counts; or else those that fit all
numbers of that message, of the field that it stands in, and of the whole file. If several still do and mean different
things, that is an error, which names them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

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
        fork: the fork whose file it is, or the distribution whose numbers it has, where that is known.
    """

    def __init__(self, meanings: Meanings, owners: Mapping[str, str], fork: str | None = None) -> None:
        self._meanings = meanings
        self._owners = owners
        self._named = frozenset({fork}) if fork else frozenset()
        self._concerned: dict[str, bool] = {}

    def renumbered(self, data: bytes, descriptor: Descriptor) -> bytes:
        """Return a message of the type `descriptor` with the numbers of the merged schema.

        Raises:
            DecodeError: a layer uses a field that providers disagree about, or a number that forks do.
            WireError: the data is not a message, or one that is nested deeper than protobuf reads.
        """
        if not self._concerns(descriptor):
            return data
        view = memoryview(data)
        forks = self._named or self._evidence(view, 0, len(data), descriptor, None, 0) or frozenset()
        return self._message(view, 0, len(data), descriptor, None, 0, forks)

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
        self,
        data: memoryview,
        begin: int,
        end: int,
        descriptor: Descriptor,
        owner: str | None,
        depth: int,
        forks: frozenset[str],
    ) -> bytes:
        if depth > _DEEPEST:
            raise wire.WireError(f"messages are nested more than {_DEEPEST} deep at byte {begin}")
        if descriptor.full_name in (_LAYER, _V1_LAYER):
            owner = self._owner(data, begin, end, descriptor)
        meanings = self._meanings.get(descriptor.full_name, {})
        if not self._named:
            fitting = self._fitting(data, begin, end, descriptor, owner) or forks
            forks = fitting & forks or forks or fitting
        parts: list[bytes | memoryview] = []
        for found in wire.fields(data, begin, end):
            meaning = self._meaning(meanings.get(found.number, ()), found, descriptor, owner, forks)
            number = found.number if meaning is None or meaning.number is None else meaning.number
            field = descriptor.fields_by_number.get(number)
            key = wire.tag(number, found.wire_type)
            if field is not None and found.wire_type == wire.LENGTH and self._concerns(field.message_type):
                of_field = self._named or (meaning.forks if meaning is not None else None) or forks
                inner = self._message(data, found.begin, found.end, field.message_type, owner, depth + 1, of_field)
                parts += [key, wire.encoded_varint(len(inner)), inner]
            elif field is not None and self._is_translated(field, found):
                value = self._value(field, wire.varint(data, found.begin)[0], owner, forks)
                parts += [key, wire.encoded_varint(value)]
            elif number != found.number:
                parts += [key, data[wire.varint(data, found.start)[1] : found.end]]
            else:
                parts.append(data[found.start : found.end])
        return b"".join(parts)

    # Which forks a file may be from.

    def _evidence(
        self, data: memoryview, begin: int, end: int, descriptor: Descriptor, owner: str | None, depth: int
    ) -> frozenset[str] | None:
        """Return the forks that fit all numbers of a message and of the messages inside it; None: any does."""
        if depth > _DEEPEST:
            return None
        if descriptor.full_name in (_LAYER, _V1_LAYER):
            owner = self._owner(data, begin, end, descriptor)
        fitting = self._fitting(data, begin, end, descriptor, owner)
        meanings = self._meanings.get(descriptor.full_name, {})
        for found in wire.fields(data, begin, end):
            if found.wire_type == wire.LENGTH:
                meaning = next(
                    iter(_possible(meanings.get(found.number, ()), found.wire_type, descriptor, owner)), None
                )
                number = found.number if meaning is None or meaning.number is None else meaning.number
                field = descriptor.fields_by_number.get(number)
                if field is not None and self._concerns(field.message_type):
                    inner = self._evidence(data, found.begin, found.end, field.message_type, owner, depth + 1)
                    fitting = _both(fitting, inner)
        return fitting

    def _fitting(
        self, data: memoryview, begin: int, end: int, descriptor: Descriptor, owner: str | None
    ) -> frozenset[str] | None:
        """Return the forks that fit all numbers of a message itself; None: any does."""
        meanings = self._meanings.get(descriptor.full_name)
        fitting: frozenset[str] | None = None
        if meanings:
            for found in wire.fields(data, begin, end):
                possible = _possible(meanings.get(found.number, ()), found.wire_type, descriptor, owner)
                if possible and all(meaning.forks for meaning in possible):
                    fitting = _both(fitting, frozenset().union(*(meaning.forks for meaning in possible)))
        return fitting

    # What a number means.

    def _meaning(
        self,
        meanings: Sequence[Meaning],
        found: wire.WireField,
        descriptor: Descriptor,
        owner: str | None,
        forks: frozenset[str],
    ) -> Meaning | None:
        possible = _possible(meanings, found.wire_type, descriptor, owner)
        if not possible:
            return None
        meaning = _of_forks(possible, forks, f"field {found.number} of a {descriptor.name}")
        if meaning.conflict is not None:
            raise DecodeError(
                f"field {found.number} of a {descriptor.name}: {meaning.conflict.reason} {meaning.conflict.hint}"
            )
        return meaning

    def _is_translated(self, field: FieldDescriptor, found: wire.WireField) -> bool:
        return (
            field.enum_type is not None
            and field.enum_type.full_name in self._meanings
            and found.wire_type == wire.VARINT
        )

    def _value(self, field: FieldDescriptor, number: int, owner: str | None, forks: frozenset[str]) -> int:
        possible = _of_owner(self._meanings[field.enum_type.full_name].get(number, ()), owner, is_layer=False)
        value = _of_forks(possible, forks, f"the value {number} of {field.name}").number if possible else None
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


def _possible(meanings: Iterable[Meaning], wire_type: int, descriptor: Descriptor, owner: str | None) -> list[Meaning]:
    fitting = [meaning for meaning in meanings if wire_type in meaning.wire_types]
    return _of_owner(fitting, owner, is_layer=descriptor.full_name in (_LAYER, _V1_LAYER))


def _of_owner(possible: Sequence[Meaning], owner: str | None, *, is_layer: bool) -> list[Meaning]:
    """Return what the owner says, or else what all say, the likeliest first: Caffe's meaning.

    In a layer the owner's fields are what it was made for. In a message that all layers have, such as transform_param,
    what the owner says of certain forks' files is no more likely than what others say of any.
    """
    own = [meaning for meaning in possible if owner in meaning.distributions]
    return own if own and (is_layer or not all(meaning.forks for meaning in own)) else list(possible)


def _of_forks(possible: Sequence[Meaning], forks: frozenset[str], what: str) -> Meaning:
    """Return what these forks say, or else what holds for any file.

    Raises:
        DecodeError: only certain forks give the number a meaning, and not the same one.
    """
    of_forks = [meaning for meaning in possible if meaning.forks & forks]
    if forks and not of_forks:
        of_forks = [meaning for meaning in possible if not meaning.forks and meaning.distributions & forks]
    of_any = [meaning for meaning in possible if not meaning.forks]
    if of_any and not of_forks:
        return of_any[0]
    several = of_forks or possible
    if len({meaning.number for meaning in several}) > 1:
        said = "; ".join(f'"{one.name}" in files of {" and ".join(sorted(one.forks))}' for one in several)
        named = min(several[0].forks)
        raise DecodeError(
            f'{what} means different things: {said}. Say whose file it is: --schema {named}, or schema="{named}".'
        )
    return several[0]


def _both(one: frozenset[str] | None, other: frozenset[str] | None) -> frozenset[str] | None:
    """Return the forks that are in both sets; None stands for all of them."""
    if one is None or other is None:
        return one if other is None else other
    return one & other
