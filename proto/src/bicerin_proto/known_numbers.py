"""What the numbers in binary messages may stand for, noted while schemas are merged."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from google.protobuf.descriptor_pb2 import EnumValueDescriptorProto, FieldDescriptorProto

from bicerin_proto.claim import Claim
from bicerin_proto.conflict import Conflict
from bicerin_proto.distribution import CAFFE
from bicerin_proto.fragment import PACKAGE, also_known_as, forks
from bicerin_proto.inside_number import FIELD_NUMBERS, VALUE_NUMBERS, inside_number
from bicerin_proto.meaning import Meaning, Meanings
from bicerin_proto.wire_types import wire_types


class KnownNumbers:
    """Collects `Meanings`. Messages and enums are named without Caffe's package."""

    def __init__(self) -> None:
        self._meanings: defaultdict[str, defaultdict[int, list[Meaning]]] = defaultdict(lambda: defaultdict(list))

    def meanings(self) -> Meanings:
        """Return what was noted."""
        return {name: dict(numbers) for name, numbers in self._meanings.items()}

    def forks(self) -> frozenset[str]:
        """Return the names of the forks whose numbers are known."""
        every = (meaning for numbers in self._meanings.values() for said in numbers.values() for meaning in said)
        return frozenset(name for meaning in every for name in meaning.forks)

    def add_own(self, message: str, one: FieldDescriptorProto) -> None:
        """Note the number of one of Caffe's own fields."""
        self._add(message, one.number, one, {CAFFE}, one.number, first=True)

    def add_field(self, message: str, claims: list[Claim], number: int) -> tuple[int, ...]:
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
            inside = inside_number(f"{message.rpartition('.')[2]}.{claims[0].field.name}", FIELD_NUMBERS, set())
            said.setdefault(number, set()).update(who := {claim.distribution for claim in claims})
            said.setdefault(inside, set()).update(who)
        for one, distributions in said.items():
            if one != number or claims[0].distribution != CAFFE:
                names = frozenset(said_by.get(one, ()))
                self._add(message, one, claims[0].field, distributions, number, declared=one in declared, forks=names)
        return tuple(said)

    def add_conflict(self, message: str, said: Iterable[Claim], conflict: Conflict) -> None:
        """Note the numbers of a field by which providers mean different things, and which nobody has decided."""
        for claim in said:
            for number in (claim.field.number, *also_known_as(claim.field)):
                who = frozenset({claim.distribution})
                declared = number == claim.field.number
                meaning = Meaning(who, None, wire_types(claim.field), declared, conflict, name=conflict.name)
                self._meanings[f"{PACKAGE}.{message}"][number].append(meaning)

    def add_own_value(self, enum: str, value: EnumValueDescriptorProto) -> None:
        """Note the number of one of the values of Caffe's enums."""
        own = Meaning(frozenset({CAFFE}), value.number, name=value.name)
        self._meanings[f"{PACKAGE}.{enum}"][value.number].append(own)

    def add_value(self, enum: str, distribution: str, value: EnumValueDescriptorProto, merged: int) -> None:
        """Note every number under which files may hold a value that a distribution adds; `merged` is its number now."""
        said_by = forks(value)
        inside = inside_number(f"{enum}.{value.name}", VALUE_NUMBERS, set())
        for number in {value.number, merged, inside, *said_by}:
            names = said_by.get(number, frozenset())
            found = Meaning(frozenset({distribution}), merged, forks=names, name=value.name)
            self._meanings[f"{PACKAGE}.{enum}"][number].append(found)

    def _add(
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
        meanings = self._meanings[f"{PACKAGE}.{message}"][number]
        meaning = Meaning(frozenset(distributions), merged, wire_types(one), declared, None, forks, one.name)
        meanings.insert(0 if first else len(meanings), meaning)
        meanings.sort(key=lambda meaning: (CAFFE not in meaning.distributions, not meaning.declared))
