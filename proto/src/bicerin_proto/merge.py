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

import zlib
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

from bicerin_proto import wire
from bicerin_proto.added_field import AddedField
from bicerin_proto.claim import Claim
from bicerin_proto.conflict import Conflict
from bicerin_proto.distribution import CAFFE
from bicerin_proto.errors import SchemaError
from bicerin_proto.fragment import PACKAGE, WITHOUT, Fragment, Parts, also_known_as, forks, parts, without_it
from bicerin_proto.meaning import Meaning, Meanings

_FIELD_NUMBERS = (400_000_000, 100_000_000)
_VALUE_NUMBERS = (1_000_000_000, 1_000_000_000)
"""First number and count of those that are given inside: to fields, and to enum values."""

_FIXED32 = (FieldDescriptorProto.TYPE_FLOAT, FieldDescriptorProto.TYPE_FIXED32, FieldDescriptorProto.TYPE_SFIXED32)
_FIXED64 = (FieldDescriptorProto.TYPE_DOUBLE, FieldDescriptorProto.TYPE_FIXED64, FieldDescriptorProto.TYPE_SFIXED64)
_LENGTH = (FieldDescriptorProto.TYPE_STRING, FieldDescriptorProto.TYPE_BYTES, FieldDescriptorProto.TYPE_MESSAGE)


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
    return _Merger(caffe, providers).merge(files, sorted(set(fragments)))


class _Merger:
    def __init__(self, caffe: FileDescriptorProto, providers: Mapping[str, str]) -> None:
        self.caffe = caffe
        self.providers = providers
        self.messages = {message.name: message for message in caffe.message_type}
        self.own: dict[str, Any] = {}
        self.signatures: dict[str, tuple[Any, ...]] = {}
        self.giving_way: set[str] = set()
        self.distributions: dict[str, str] = {}
        self.united: dict[str, dict[str, list[Claim]]] = {}
        self.compared: set[tuple[str, str]] = set()
        self.extended: set[tuple[str, str]] = set()
        self.added: list[AddedField] = []
        self.conflicts: list[Conflict] = []
        self.meanings: Meanings = defaultdict(lambda: defaultdict(list))

    def merge(self, files: FileDescriptorSet, fragments: list[Fragment]) -> Merged:
        base = FileDescriptorProto()
        base.CopyFrom(self.caffe)
        sorted_out = [(fragment, parts(fragment, base)) for fragment in fragments]
        giving_way = [fragment for fragment in fragments if fragment.gives_way()]
        self.giving_way.update(fragment.distribution for fragment in giving_way)
        own_types = self._take_own(sorted_out)
        claims: dict[str, dict[str, list[Claim]]] = defaultdict(lambda: defaultdict(list))
        for fragment, part in sorted_out:
            for message, added in part.fields.items():
                for one in added:
                    claims[message][one.name].append(Claim(fragment.distribution, one, self._field_signature(one)))
        self._unite(claims)
        self._number_own()
        for message in sorted(claims):
            self._merge_fields(self.messages[message], claims[message])
        self._merge_values(sorted_out)
        meanings = {name: dict(numbers) for name, numbers in self.meanings.items()}
        namespaces = frozenset(fragment.namespace for fragment in giving_way)
        every = (meaning for numbers in meanings.values() for said in numbers.values() for meaning in said)
        named = frozenset(name for meaning in every for name in meaning.forks)
        return Merged(files, tuple(self.added), tuple(self.conflicts), meanings, named, own_types, namespaces)

    # The plugins' own messages and enums.

    def _take_own(self, sorted_out: list[tuple[Fragment, Parts]]) -> dict[str, list[str]]:
        spaces: dict[str, DescriptorProto] = {}
        for fragment, part in sorted_out:
            space = spaces.setdefault(fragment.namespace, DescriptorProto(name=fragment.namespace))
            self.distributions[fragment.namespace] = fragment.distribution
            for kind in ("nested_type", "enum_type"):
                known = {one.name: one for one in getattr(space, kind)}
                for one in getattr(part.own, kind):
                    if known.get(one.name, one) != one:
                        raise SchemaError(f"{fragment.distribution}: defines {one.name} twice, in different ways")
                    if one.name not in known:
                        getattr(space, kind).add().CopyFrom(one)
        for name in sorted(spaces):
            if spaces[name].nested_type or spaces[name].enum_type:
                space = self.caffe.message_type.add()
                space.CopyFrom(spaces[name])
                self._index(space, f".{PACKAGE}.{name}")
        found: dict[str, dict[tuple[Any, ...], str]] = defaultdict(dict)
        for name in sorted(spaces):
            for one in (*spaces[name].nested_type, *spaces[name].enum_type):
                full_name = f".{PACKAGE}.{name}.{one.name}"
                found[one.name].setdefault(self._type_signature(full_name), full_name[1:])
        return {name: list(full_names.values()) for name, full_names in found.items()}

    def _index(self, message: DescriptorProto, full_name: str) -> None:
        self.own[full_name] = message
        for enum in message.enum_type:
            self.own[f"{full_name}.{enum.name}"] = enum
        for nested in message.nested_type:
            self._index(nested, f"{full_name}.{nested.name}")

    def _number_own(self) -> None:
        """Note the numbers of fields in the plugins' own messages, where forks number them differently."""
        for full_name, message in self.own.items():
            united = self.united.get(full_name, {})
            if isinstance(message, DescriptorProto) and (united or any(forks(one) for one in message.field)):
                path = full_name.removeprefix(f".{PACKAGE}.")
                everyone = {claim.distribution for claims in united.values() for claim in claims}
                for one in message.field:
                    claims = united.get(one.name) or [self._own_claim(full_name, one)]
                    numbers = self._know_numbers(path, claims, one.number)
                    who = tuple(dict.fromkeys(claim.distribution for claim in claims))
                    if not everyone.issubset(who):
                        without = max(without_it(claim.field) for claim in claims)
                        self.added.append(AddedField(path, one.name, one.number, numbers, who, WITHOUT[without]))

    def _own_claim(self, full_name: str, one: FieldDescriptorProto) -> Claim:
        distribution = self.distributions[full_name.removeprefix(f".{PACKAGE}.").partition(".")[0]]
        copy = FieldDescriptorProto()
        copy.CopyFrom(one)
        return Claim(distribution, copy, self._field_signature(one))

    # Messages of several plugins for one field become one message.

    def _unite(self, claims: dict[str, dict[str, list[Claim]]]) -> None:
        for message in sorted(claims):
            own = {one.name for one in self.messages[message].field}
            for name in sorted(claims[message].keys() - own):
                said = claims[message][name]
                types = {claim.field.type_name for claim in said}
                meanings = {claim.signature for claim in said}
                labels = {claim.field.label for claim in said}
                if len(meanings) > 1 and len(labels) == 1 and all(self._own_message(one) for one in types):
                    claims[message][name] = self._united(message, name, said)

    def _own_message(self, full_name: str) -> bool:
        return isinstance(self.own.get(full_name), DescriptorProto)

    def _united(self, message: str, name: str, said: list[Claim]) -> list[Claim]:
        """Return claims of one type, which has the fields of all; those that were given where they disagree."""
        chosen = self._chosen(message, name)
        order = sorted(said, key=lambda one: (one.distribution != chosen, self._gives_way(one), one.distribution))
        first = order[0]
        firm = [first] if first.distribution == chosen else [one for one in order if not self._gives_way(one)] or order
        for index, one in enumerate(firm):
            if not all(self._agree(one.field.type_name, other.field.type_name) for other in firm[:index]):
                return said
        for one in order[1:]:
            self._extend(first.field.type_name, one.field.type_name, one.distribution)
            one.field.type_name = first.field.type_name
        self.signatures.clear()
        return [Claim(one.distribution, one.field, self._field_signature(one.field)) for one in said]

    def _gives_way(self, claim: Claim) -> bool:
        return claim.distribution in self.giving_way

    def _agree(self, one: str, other: str) -> bool:
        """Tell whether two types mean the same by each name that both have."""
        if one == other or one not in self.own or other not in self.own:
            return one == other
        if (one, other) in self.compared:  # a message inside itself
            return True
        self.compared.add((one, other))
        try:
            return self._agree_inside(self.own[one], self.own[other])
        finally:
            self.compared.discard((one, other))

    def _agree_inside(self, mine: Any, theirs: Any) -> bool:
        if not isinstance(mine, DescriptorProto) or not isinstance(theirs, DescriptorProto):
            if type(mine) is not type(theirs):
                return False
            numbers = {value.name: value.number for value in mine.value}
            return all(numbers.get(value.name, value.number) == value.number for value in theirs.value)
        known = {field.name: field for field in mine.field}
        return all(self._same(known[field.name], field) for field in theirs.field if field.name in known)

    def _same(self, one: FieldDescriptorProto, other: FieldDescriptorProto) -> bool:
        signature = self._field_signature(one)
        return signature == self._field_signature(other) or (
            signature[:4] == self._field_signature(other)[:4] and self._agree(one.type_name, other.type_name)
        )

    def _extend(self, target: str, source: str, distribution: str) -> None:
        """Give one type what another has besides. Of what both have and disagree about, the first keeps its own."""
        if (target, source) in self.extended:
            return
        self.extended.add((target, source))
        if target == source or not self._own_message(target):
            self._extend_enum(target, source)
            return
        mine, theirs = self.own[target], self.own[source]
        claims = self.united.setdefault(target, {one.name: [self._own_claim(target, one)] for one in mine.field})
        known = {one.name: one for one in mine.field}
        scope = {one.name for kind in (mine.field, mine.nested_type, mine.enum_type) for one in kind}
        scope |= {value.name for enum in mine.enum_type for value in enum.value}
        for given in theirs.field:
            if given.name in known:
                if self._same(known[given.name], given):
                    self._extend(known[given.name].type_name, given.type_name, distribution)
                    claims[given.name].append(Claim(distribution, given, self._field_signature(given)))
            elif given.name not in scope:
                one = mine.field.add()
                one.CopyFrom(given)
                one.ClearField("oneof_index")
                taken = {other.number for other in mine.field[:-1]}
                if one.number in taken:
                    one.number = _inside(f"{mine.name}.{one.name}", _FIELD_NUMBERS, taken)
                claims[given.name] = [Claim(distribution, given, self._field_signature(given))]

    def _extend_enum(self, target: str, source: str) -> None:
        if target == source or target not in self.own or source not in self.own:
            return
        mine = self.own[target]
        outer = self.own.get(target.rpartition(".")[0], DescriptorProto())
        scope = {one.name for one in outer.field} | {value.name for enum in outer.enum_type for value in enum.value}
        scope |= {value.name for value in mine.value}
        for value in self.own[source].value:
            if value.name not in scope:
                one = mine.value.add()
                one.CopyFrom(value)
                taken = {other.number for other in mine.value[:-1]}
                if one.number in taken:
                    one.number = _inside(f"{mine.name}.{one.name}", _VALUE_NUMBERS, taken)

    # Two types are the same if their signatures are equal; their full names differ from plugin to plugin.

    def _type_signature(self, full_name: str) -> tuple[Any, ...]:
        definition = self.own.get(full_name)
        if definition is None:
            return (full_name,)
        if full_name not in self.signatures:
            self.signatures[full_name] = ("recursive", definition.name)
            if isinstance(definition, DescriptorProto):
                inner = sorted((one.number, self._field_signature(one)) for one in definition.field)
            else:
                inner = sorted((value.number, value.name) for value in definition.value)
            self.signatures[full_name] = (definition.name, tuple(inner))
        return self.signatures[full_name]

    def _field_signature(self, one: FieldDescriptorProto) -> tuple[Any, ...]:
        default = one.default_value if one.HasField("default_value") else None
        if default is not None and one.type in _FIXED32 + _FIXED64:
            default = repr(float(default))
        return (one.name, one.label, one.type, str(default), self._type_signature(one.type_name))

    # Fields.

    def _merge_fields(self, message: DescriptorProto, claims: Mapping[str, list[Claim]]) -> None:
        own = {one.name: one for one in message.field}
        winners: list[list[Claim]] = []
        for name in sorted(claims):
            said = claims[name]
            if name in own:
                said = [Claim(CAFFE, own[name], self._field_signature(own[name])), *said]
            winner = self._decide(message.name, name, said)
            if winner and winner[0].distribution == CAFFE:
                self._know_numbers(message.name, winner, own[name].number)
            elif winner:
                winners.append(winner)
                if name in own:
                    message.field.remove(own[name])
        for one in message.field:
            self._mean(message.name, one.number, one, {CAFFE}, one.number, first=True)
        self._add_fields(message, winners)

    def _decide(self, message: str, name: str, said: list[Claim]) -> list[Claim] | None:
        """Return the claims that hold, of one meaning; None where providers disagree and none is chosen."""
        by_meaning: dict[tuple[Any, ...], list[Claim]] = defaultdict(list)
        for claim in said:
            by_meaning[claim.signature].append(claim)
        if len(by_meaning) == 1:
            return said
        winner = self._chosen(message, name)
        if winner not in {claim.distribution for claim in said}:
            winner = self._natural_winner(list(by_meaning.values()))
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
            for claim in said:
                for number in (claim.field.number, *also_known_as(claim.field)):
                    who = frozenset({claim.distribution})
                    declared = number == claim.field.number
                    meaning = Meaning(who, None, _wire_types(claim.field), declared, conflict, name=name)
                    self.meanings[f"{PACKAGE}.{message}"][number].append(meaning)
        return chosen

    def _chosen(self, message: str, name: str) -> str | None:
        return self.providers.get(f"{message}.{name}", self.providers.get(name))

    def _natural_winner(self, meanings: list[list[Claim]]) -> str | None:
        """Return whose meaning holds where nobody has chosen: Caffe's, or the only one that does not give way."""
        if meanings[0][0].distribution == CAFFE:
            return CAFFE
        firm = [[claim.distribution for claim in claims] for claims in meanings]
        firm = [who for who in firm if not self.giving_way.issuperset(who)]
        return firm[0][0] if len(firm) == 1 else None

    def _add_fields(self, message: DescriptorProto, winners: list[list[Claim]]) -> None:
        taken = {one.number for one in message.field}
        order = sorted(winners, key=lambda claims: (claims[0].distribution, claims[0].field.number))
        for claims in order:
            one = message.field.add()
            one.CopyFrom(claims[0].field)
            if one.number in taken:
                one.number = _inside(f"{message.name}.{one.name}", _FIELD_NUMBERS, taken)
            taken.add(one.number)
            numbers = self._know_numbers(message.name, claims, one.number)
            who = tuple(dict.fromkeys(claim.distribution for claim in claims))
            without = max(without_it(claim.field) for claim in claims)
            self.added.append(AddedField(message.name, one.name, one.number, numbers, who, WITHOUT[without]))

    def _know_numbers(self, message: str, claims: list[Claim], number: int) -> tuple[int, ...]:
        """Note every number under which files may hold a field, and return them, the declared one first."""
        said: dict[int, set[str]] = {}
        for claim in claims:
            said.setdefault(claim.field.number, set()).add(claim.distribution)
        declared = set(said)
        said_by: dict[int, set[str]] = {}
        for claim in claims:
            for other in also_known_as(claim.field):
                said.setdefault(other, set()).add(claim.distribution)
            for other, names in forks(claim.field).items():
                said.setdefault(other, set()).add(claim.distribution)
                said_by.setdefault(other, set()).update(names)
        if claims[0].distribution != CAFFE:
            inside = _inside(f"{message.rpartition('.')[2]}.{claims[0].field.name}", _FIELD_NUMBERS, set())
            said.setdefault(number, set()).update(who := {claim.distribution for claim in claims})
            said.setdefault(inside, set()).update(who)
        for one, distributions in said.items():
            if one != number or claims[0].distribution != CAFFE:
                names = frozenset(said_by.get(one, ()))
                self._mean(message, one, claims[0].field, distributions, number, declared=one in declared, forks=names)
        return tuple(said)

    def _mean(
        self,
        message: str,
        number: int,
        one: FieldDescriptorProto,
        distributions: Iterable[str],
        merged: int,
        *,
        first: bool = False,
        declared: bool = True,
        forks: frozenset[str] = frozenset(),
    ) -> None:
        meanings = self.meanings[f"{PACKAGE}.{message}"][number]
        meaning = Meaning(frozenset(distributions), merged, _wire_types(one), declared, None, forks, one.name)
        meanings.insert(0 if first else len(meanings), meaning)
        meanings.sort(key=lambda meaning: (CAFFE not in meaning.distributions, not meaning.declared))

    # Enum values.

    def _merge_values(self, sorted_out: list[tuple[Fragment, Parts]]) -> None:
        added: dict[str, list[tuple[str, EnumValueDescriptorProto]]] = defaultdict(list)
        for fragment, part in sorted_out:
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
        meanings = self.meanings[f"{PACKAGE}.{name}"]
        for value in enum.value:
            meanings[value.number].append(Meaning(frozenset({CAFFE}), value.number, name=value.name))
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
                    one.number = _inside(f"{name}.{value.name}", _VALUE_NUMBERS, taken)
                numbers[value.name] = one.number
            who, merged, said_by = frozenset({distribution}), numbers[value.name], forks(value)
            inside = _inside(f"{name}.{value.name}", _VALUE_NUMBERS, set())
            for number in {value.number, merged, inside, *said_by}:
                found = Meaning(who, merged, forks=said_by.get(number, frozenset()), name=value.name)
                meanings[number].append(found)


def _inside(name: str, numbers: tuple[int, int], taken: set[int]) -> int:
    """Return the number that is given inside to a field or enum value: it follows from its name."""
    first, count = numbers
    number = first + zlib.crc32(name.encode()) % count
    while number in taken:
        number = first + (number - first + 1) % count
    return number


def _wire_types(one: FieldDescriptorProto) -> frozenset[int]:
    if one.type in _LENGTH:
        return frozenset({wire.LENGTH})
    single = wire.FIXED32 if one.type in _FIXED32 else wire.FIXED64 if one.type in _FIXED64 else wire.VARINT
    repeated = one.label == FieldDescriptorProto.LABEL_REPEATED
    return frozenset({single, wire.LENGTH} if repeated else {single})
