"""What providers say about the fields and enum values of Caffe's messages, and where they disagree."""

from __future__ import annotations

from dataclasses import dataclass, field

CAFFE = "bicerin-proto"
"""The distribution that provides Caffe's own fields."""


@dataclass(frozen=True)
class AddedField:
    """A field that plugins add to one of Caffe's messages.

    Attributes:
        message: the message, such as "LayerParameter".
        name: the field.
        number: its number in the merged schema.
        numbers: every number under which files may hold it, the declared one first.
        distributions: who adds it; several where all mean the same.
    """

    message: str
    name: str
    number: int
    numbers: tuple[int, ...]
    distributions: tuple[str, ...]

    @property
    def renumbered(self) -> bool:
        """Whether something else had its declared number before."""
        return self.number != self.numbers[0]


@dataclass(frozen=True)
class Conflict:
    """Providers that mean different things by one name.

    Attributes:
        message: the message or enum, such as "LayerParameter".
        name: the field or value.
        meanings: what each says, such as ("bicerin-rcnn", "optional ROIPoolingParameter roi_pooling_param = 150").
        winner: whose meaning holds: the chosen one's, or Caffe's over a plugin's. None: using the name is an error.
        numbers: the numbers of its meanings.
    """

    message: str
    name: str
    meanings: tuple[tuple[str, str], ...]
    winner: str | None = None
    numbers: tuple[int, ...] = field(default=(), repr=False)

    @property
    def reason(self) -> str:
        """What is wrong, naming everyone involved."""
        by_meaning: dict[str, list[str]] = {}
        for distribution, meaning in self.meanings:
            by_meaning.setdefault(meaning, []).append(distribution)
        said = "; ".join(f"{', '.join(who)}: {meaning}" for meaning, who in by_meaning.items())
        return f'"{self.name}" of {self.message} means different things ({said}).'

    @property
    def hint(self) -> str:
        """How to choose."""
        one = self.meanings[0][0]
        return (
            f'Choose one with providers={{"{self.name}": "{one}"}} (for a net: layer_providers={{TYPE: "{one}"}}, TYPE '
            "being one of its layer types), or uninstall the other."
        )


@dataclass(frozen=True)
class Meaning:
    """What a number on the wire may stand for, according to some distributions.

    Attributes:
        distributions: who says so.
        number: the number of that field (or enum value) in the merged schema; None for a conflict.
        wire_types: the wire types such a field can have; empty for an enum value.
        declared: whether it is the declared number, not another one that the field is also known by.
        conflict: the conflict that reading it would run into.
    """

    distributions: frozenset[str]
    number: int | None
    wire_types: frozenset[int] = frozenset()
    declared: bool = True
    conflict: Conflict | None = None


Meanings = dict[str, dict[int, list[Meaning]]]
"""Full name of a message or enum -> number on the wire -> what it may stand for, the most likely first."""
