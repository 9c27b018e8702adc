"""Merge what plugins add into Caffe's schema.

    same name, same type        one field, whatever its numbers: each of them is understood
    same number, other names    both parse in text; the later one gets another number inside
    messages of other fields    one message with the fields of all, if they agree about those that they share
    same name, other type       a Conflict, raised when the name is used, unless a provider is chosen

Caffe's own fields come first and win; a plugin that says so (`(bicerin.gives_way)`) loses to any other; then
distributions count in the order of their names, never in the order in which they were found. A number that is given
inside depends on the names of message and field alone, so that a file that holds it is understood whatever else is
installed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumValueDescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
    FileDescriptorSet,
)

from bicerin_proto.added_field import AddedField
from bicerin_proto.claim import Claim
from bicerin_proto.conflict import Conflict
from bicerin_proto.distribution import CAFFE
from bicerin_proto.fragment import PACKAGE, WITHOUT, Fragment, also_known_as, honoured_by, parts, without_it
from bicerin_proto.fragment import forks as forks_of
from bicerin_proto.inside_number import FIELD_NUMBERS, VALUE_NUMBERS, inside_number
from bicerin_proto.known_numbers import KnownNumbers
from bicerin_proto.meaning import Meanings
from bicerin_proto.own_types import OwnTypes
from bicerin_proto.precedence import Precedence
from bicerin_proto.united_messages import UnitedMessages


@dataclass
class Merged:
    """The outcome of merging.

    Attributes:
        files: the descriptors of the merged schema.
        added: the fields that plugins add.
        conflicts: the names that mean different things, decided or not.
        meanings: what numbers in binary files may stand for, where that is not plain from the descriptors.
        forks: the names of the forks whose numbers are known.
        own_types: for each name of a plugin's own message or enum, its full names: one, or one for each meaning.
        giving_way: the plugins (as `Fragment.namespace` has them) that give way to others.
    """

    files: FileDescriptorSet
    added: tuple[AddedField, ...] = ()
    conflicts: tuple[Conflict, ...] = ()
    meanings: Meanings = field(default_factory=dict)
    forks: frozenset[str] = frozenset()
    own_types: dict[str, list[str]] = field(default_factory=dict)
    giving_way: frozenset[str] = frozenset()


def merge(base: FileDescriptorSet, fragments: Iterable[Fragment], providers: Mapping[str, str]) -> Merged:
    """Merge fragments into the descriptors of Caffe's schema.

    Args:
        base: the files of Caffe's schema; those that belong to its package are merged into.
        providers: for a field that means different things ("roi_pooling_param", or "LayerParameter.roi_pooling_param"),
            the distribution whose meaning holds.

    Raises:
        SchemaError: a fragment is broken by itself.
    """
    files = FileDescriptorSet()
    files.CopyFrom(base)
    caffe = next(file for file in files.file if file.package == PACKAGE)
    return _Merger(caffe, providers, sorted(set(fragments))).merge(files)


class _Merger:
    def __init__(self, caffe: FileDescriptorProto, providers: Mapping[str, str], fragments: list[Fragment]) -> None:
        self.caffe = caffe
        self.messages = {message.name: message for message in caffe.message_type}
        base = FileDescriptorProto()
        base.CopyFrom(caffe)
        self.sorted_out = [(fragment, parts(fragment, base)) for fragment in fragments]
        self.giving_way = [fragment for fragment in fragments if fragment.gives_way()]
        self.precedence = Precedence(providers, frozenset(fragment.distribution for fragment in self.giving_way))
        self.own = OwnTypes()
        self.united = UnitedMessages(self.own, self.precedence)
        self.numbers = KnownNumbers()
        self.added: list[AddedField] = []
        self.conflicts: list[Conflict] = []

    def merge(self, files: FileDescriptorSet) -> Merged:
        self.own.take(self.caffe, self.sorted_out)
        claims = self._claims()
        self.united.unite(self.messages, claims)
        self._number_own()
        for message in sorted(claims):
            self._merge_fields(self.messages[message], claims[message])
        self._merge_values()
        namespaces = frozenset(fragment.namespace for fragment in self.giving_way)
        return Merged(
            files,
            tuple(self.added),
            tuple(self.conflicts),
            self.numbers.meanings(),
            self.numbers.forks(),
            self.own.names,
            namespaces,
        )

    def _claims(self) -> dict[str, dict[str, list[Claim]]]:
        """What distributions say about fields of Caffe's messages: message -> field -> claims."""
        claims: dict[str, dict[str, list[Claim]]] = defaultdict(lambda: defaultdict(list))
        for fragment, part in self.sorted_out:
            for message, added in part.fields.items():
                for one in added:
                    said = Claim(fragment.distribution, one, self.own.field_signature(one))
                    claims[message][one.name].append(said)
        return claims

    def _number_own(self) -> None:
        """Note the fields of the plugins' own messages that forks number differently, or that not all layers honour."""
        for full_name, message in self.own.definitions.items():
            united = self.united.claims.get(full_name, {})
            if isinstance(message, DescriptorProto) and (united or any(map(_says_whose, message.field))):
                path = full_name.removeprefix(f".{PACKAGE}.")
                everyone = {claim.distribution for claims in united.values() for claim in claims}
                for one in message.field:
                    claims = united.get(one.name) or [self.own.claim(full_name, one)]
                    numbers = self.numbers.add_field(path, claims, one.number)
                    who = tuple(dict.fromkeys(claim.distribution for claim in claims))
                    if not everyone.issubset(who) or honoured_by(one):
                        self.added.append(AddedField(path, one.name, one.number, numbers, who, *_effect(claims)))

    # Fields.

    def _merge_fields(self, message: DescriptorProto, claims: Mapping[str, list[Claim]]) -> None:
        own = {one.name: one for one in message.field}
        winners: list[list[Claim]] = []
        for name in sorted(claims):
            said = claims[name]
            if name in own:
                said = [Claim(CAFFE, own[name], self.own.field_signature(own[name])), *said]
            winner = self._decide(message.name, name, said)
            if winner and winner[0].distribution == CAFFE:
                self.numbers.add_field(message.name, winner, own[name].number)
            elif winner:
                winners.append(winner)
                if name in own:
                    message.field.remove(own[name])
        for one in message.field:
            self.numbers.add_own(message.name, one)
        self._add_fields(message, winners)

    def _decide(self, message: str, name: str, said: list[Claim]) -> list[Claim] | None:
        """Return the claims that hold, of one meaning; None where providers disagree and none is chosen."""
        by_meaning: dict[tuple[Any, ...], list[Claim]] = defaultdict(list)
        for claim in said:
            by_meaning[claim.signature].append(claim)
        if len(by_meaning) == 1:
            return said
        winner = self.precedence.chosen(message, name)
        if winner not in {claim.distribution for claim in said}:
            winner = self.precedence.natural_winner(list(by_meaning.values()))
        chosen = next((claims for claims in by_meaning.values() if winner in {c.distribution for c in claims}), None)
        conflict = Conflict(
            message,
            name,
            tuple((claim.distribution, str(claim)) for claim in said),
            winner,
            tuple(sorted({number for claim in said for number in (claim.field.number, *also_known_as(claim.field))})),
        )
        self.conflicts.append(conflict)
        if chosen is None:
            self.numbers.add_conflict(message, said, conflict)
        return chosen

    def _add_fields(self, message: DescriptorProto, winners: list[list[Claim]]) -> None:
        taken = {one.number for one in message.field}
        order = sorted(winners, key=lambda claims: (claims[0].distribution, claims[0].field.number))
        for claims in order:
            one = message.field.add()
            one.CopyFrom(claims[0].field)
            if one.number in taken:
                one.number = inside_number(f"{message.name}.{one.name}", FIELD_NUMBERS, taken)
            taken.add(one.number)
            numbers = self.numbers.add_field(message.name, claims, one.number)
            who = tuple(dict.fromkeys(claim.distribution for claim in claims))
            self.added.append(AddedField(message.name, one.name, one.number, numbers, who, *_effect(claims)))

    # Enum values.

    def _merge_values(self) -> None:
        added: dict[str, list[tuple[str, EnumValueDescriptorProto]]] = defaultdict(list)
        for fragment, part in self.sorted_out:
            for name, enum in part.values.items():
                added[name] += [(fragment.distribution, value) for value in enum.value]
        for name in sorted(added):
            outer, _, inner = name.rpartition(".")
            scope: Any = self.messages[outer] if outer else self.caffe
            enum = next(enum for enum in scope.enum_type if enum.name == inner)
            siblings = {value.name for other in scope.enum_type if other is not enum for value in other.value}
            siblings |= {one.name for one in scope.field} if outer else set(self.messages)
            self._merge_enum(name, enum, added[name], siblings)

    def _merge_enum(
        self, name: str, enum: Any, added: list[tuple[str, EnumValueDescriptorProto]], siblings: set[str]
    ) -> None:
        for value in enum.value:
            self.numbers.add_own_value(name, value)
        numbers = {value.name: value.number for value in enum.value}
        for distribution, value in added:
            if value.name in siblings:
                # In protobuf an enum's values share one scope with what stands beside the enum.
                said = (distribution, f"{value.name} = {value.number}"), (CAFFE, f"{value.name} beside {name}")
                self.conflicts.append(Conflict(name, value.name, said, CAFFE))
                continue
            if value.name not in numbers:
                taken = set(numbers.values())
                one = enum.value.add()
                one.CopyFrom(value)
                if value.number in taken:
                    one.number = inside_number(f"{name}.{value.name}", VALUE_NUMBERS, taken)
                numbers[value.name] = one.number
            self.numbers.add_value(name, distribution, value, numbers[value.name])


def _effect(claims: Iterable[Claim]) -> tuple[str, frozenset[str]]:
    """What a layer that does not know the field computes: OTHER only if all say so, SIMILAR if one does; and the types
    that honour it, if all name some.
    """
    fields = [claim.field for claim in claims]
    types = [honoured_by(one) for one in fields]
    return WITHOUT[max(map(without_it, fields))], frozenset().union(*types) if all(types) else frozenset()


def _says_whose(one: FieldDescriptorProto) -> bool:
    """Whether a field names forks that number it, or the types that honour it."""
    return bool(forks_of(one) or honoured_by(one))
