"""Messages of several plugins for one field become one message, with the fields of all."""

from __future__ import annotations

from collections.abc import Mapping

from google.protobuf.descriptor_pb2 import DescriptorProto

from bicerin_proto.claim import Claim
from bicerin_proto.inside_number import FIELD_NUMBERS, VALUE_NUMBERS, inside_number
from bicerin_proto.own_types import OwnTypes
from bicerin_proto.precedence import Precedence


class UnitedMessages:
    """Own messages that are given the fields of others.

    Attributes:
        claims: full name of a message that was given some -> field -> what each distribution says about it.
    """

    def __init__(self, own: OwnTypes, precedence: Precedence) -> None:
        self.claims: dict[str, dict[str, list[Claim]]] = {}
        self._own = own
        self._precedence = precedence
        self._extended: set[tuple[str, str]] = set()

    def unite(self, messages: Mapping[str, DescriptorProto], claims: Mapping[str, dict[str, list[Claim]]]) -> None:
        """Replace claims of one field with messages of different fields by claims of one message.

        Args:
            messages: Caffe's, by their names; fields that they have themselves are left alone.
            claims: message -> field -> what each distribution says about it; changed.
        """
        for message in sorted(claims):
            own = {one.name for one in messages[message].field}
            for name in sorted(claims[message].keys() - own):
                said = claims[message][name]
                types = {claim.field.type_name for claim in said}
                meanings = {claim.signature for claim in said}
                labels = {claim.field.label for claim in said}
                if len(meanings) > 1 and len(labels) == 1 and all(self._own.is_message(one) for one in types):
                    claims[message][name] = self._united(message, name, said)

    def _united(self, message: str, name: str, said: list[Claim]) -> list[Claim]:
        """Return claims of one type, which has the fields of all; those that were given where they disagree."""
        chosen, gives_way = self._precedence.chosen(message, name), self._precedence.gives_way
        order = sorted(said, key=lambda one: (one.distribution != chosen, gives_way(one), one.distribution))
        first = order[0]
        firm = [first] if first.distribution == chosen else [one for one in order if not gives_way(one)] or order
        for index, one in enumerate(firm):
            if not all(self._own.agree(one.field.type_name, other.field.type_name) for other in firm[:index]):
                return said
        for one in order[1:]:
            self._extend(first.field.type_name, one.field.type_name, one.distribution)
            one.field.type_name = first.field.type_name
        self._own.changed()
        return [Claim(one.distribution, one.field, self._own.field_signature(one.field)) for one in said]

    def _extend(self, target: str, source: str, distribution: str) -> None:
        """Give one type what another has besides. Of what both have and disagree about, the first keeps its own."""
        if (target, source) in self._extended:
            return
        self._extended.add((target, source))
        if target == source or not self._own.is_message(target):
            self._extend_enum(target, source)
            return
        mine, theirs = self._own.definitions[target], self._own.definitions[source]
        claims = self.claims.setdefault(target, {one.name: [self._own.claim(target, one)] for one in mine.field})
        known = {one.name: one for one in mine.field}
        scope = {one.name for kind in (mine.field, mine.nested_type, mine.enum_type) for one in kind}
        scope |= {value.name for enum in mine.enum_type for value in enum.value}
        for given in theirs.field:
            if given.name in known:
                if self._own.same(known[given.name], given):
                    self._extend(known[given.name].type_name, given.type_name, distribution)
                    claims[given.name].append(Claim(distribution, given, self._own.field_signature(given)))
            elif given.name not in scope:
                one = mine.field.add()
                one.CopyFrom(given)
                one.ClearField("oneof_index")
                taken = {other.number for other in mine.field[:-1]}
                if one.number in taken:
                    one.number = inside_number(f"{mine.name}.{one.name}", FIELD_NUMBERS, taken)
                claims[given.name] = [Claim(distribution, given, self._own.field_signature(given))]

    def _extend_enum(self, target: str, source: str) -> None:
        definitions = self._own.definitions
        if target == source or target not in definitions or source not in definitions:
            return
        mine = definitions[target]
        outer = definitions.get(target.rpartition(".")[0], DescriptorProto())
        scope = {one.name for one in outer.field} | {value.name for enum in outer.enum_type for value in enum.value}
        scope |= {value.name for value in mine.value}
        for value in definitions[source].value:
            if value.name not in scope:
                one = mine.value.add()
                one.CopyFrom(value)
                taken = {other.number for other in mine.value[:-1]}
                if one.number in taken:
                    one.number = inside_number(f"{mine.name}.{one.name}", VALUE_NUMBERS, taken)
