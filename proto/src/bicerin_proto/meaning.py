"""What the numbers in binary messages may stand for: forks used the same ones for different things."""

from __future__ import annotations

from dataclasses import dataclass

from bicerin_proto.conflict import Conflict


@dataclass(frozen=True)
class Meaning:
    """What a number on the wire may stand for, according to some distributions.

    Attributes:
        distributions: who says so.
        number: the number of that field (or enum value) in the merged schema; None for a conflict.
        wire_types: the wire types such a field can have; empty for an enum value.
        declared: whether it is the declared number, not another one that the field is also known by.
        conflict: the conflict that reading it would run into.
        forks: the forks in whose files the number stands for this; empty where it may in any file.
        name: what the field or value is called.
    """

    distributions: frozenset[str]
    number: int | None
    wire_types: frozenset[int] = frozenset()
    declared: bool = True
    conflict: Conflict | None = None
    forks: frozenset[str] = frozenset()
    name: str = ""


Meanings = dict[str, dict[int, list[Meaning]]]
"""Full name of a message or enum -> number on the wire -> what it may stand for, the most likely first."""
