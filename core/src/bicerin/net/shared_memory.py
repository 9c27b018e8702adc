"""Blobs that nobody reads, in memory that they share: what `Net(..., optimize=True)` does.

A blob lives from the layer that first touches its memory to the one that last does. Blobs whose lives do not meet take
turns in one piece of memory, so that a net needs as much as its widest place, not as all its layers together.

Blobs that a layer only joins, or cuts out of another one, lie in the memory of the whole, where nobody but that layer
could tell: see `placement`. Where more memory would be needed so than without, some do not.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, cast

from bicerin.device.memory import Memory
from bicerin.device.part import Part
from bicerin.errors import NetError
from bicerin.layer.abilities import KeepsTops, PutsSideBySide
from bicerin.layer.blob import Blob
from bicerin.net.node import Node
from bicerin.net.placement import Placement, Refused
from bicerin.net.turns import Life, divide_rooms

_SHAPE = {"shape", "count", "num_axes", "num", "channels", "height", "width", "canonical_axis", "count_between"}
_KNOWN = _SHAPE | {"name", "dtype", "device"}


class DroppedBlob:
    """What stands for a blob whose values are not kept, in memory that serves others too: it has a shape to read.

    Args:
        blob: it.
        asked: the argument that the net was built with, which had the values dropped.
    """

    def __init__(self, blob: Blob, asked: str) -> None:
        self._blob = blob
        self._asked = asked

    def __repr__(self) -> str:
        return f"DroppedBlob({self._blob.name!r}, shape={self._blob.shape})"

    def __getattr__(self, attribute: str) -> Any:
        if attribute in _KNOWN:
            return getattr(self._blob, attribute)
        if attribute.startswith(("__", "_repr_", "_ipython_")):  # which a notebook asks for
            raise AttributeError(attribute)
        raise NetError(
            f'the values of blob "{self._blob.name}" are not kept: the net was built with {self._asked}. '
            f'Name the blob in keep=["{self._blob.name}"], or build the net without {self._asked.partition("=")[0]}.'
        )


def drop_blobs(blobs: dict[str, Blob], dropped: Callable[[Blob], bool], asked: str) -> set[int]:
    """Put a `DroppedBlob` in the place of each blob of a net's that nobody can read.

    Args:
        blobs: by their names, as a user gets them.
        dropped: whether a blob, as a layer has it, is one of those.
        asked: with what the user asked for it, for errors.

    Returns:
        The ids of those blobs, as layers have them.
    """
    gone = {name: blob.blob for name, blob in blobs.items() if dropped(blob.blob)}
    blobs.update({name: cast(Blob, DroppedBlob(blobs[name], asked)) for name in gone})
    return {id(blob) for blob in gone.values()}


def lasting(nodes: Iterable[Node]) -> list[Blob]:
    """The blobs whose values may stay from one forward pass to the next."""
    return [
        blob
        for node in nodes
        if not node.bottom or isinstance(node.layer, KeepsTops)
        for blob in (*node.bottom, *node.top)
    ]


class SharedMemory:
    """Blobs of a forward pass that take turns in few memories, and parts of blobs that lie in those.

    A blob that grows later leaves for a memory of its own, until there is a new plan.

    Args:
        nodes: those of the pass.
        everything: the net's, which are the layers one by one.
        kept: blobs that have memories of their own.
    """

    def __init__(self, nodes: Sequence[Node], everything: Sequence[Node], kept: Iterable[Blob]) -> None:
        self._nodes, self._everything, self._kept = nodes, everything, list(kept)
        self._inputs = [blob for node in nodes if not node.bottom for blob in node.top]
        #: What is not to be a part of what, in any plan.
        self._refused: Refused = set()
        self._refused_then = 0
        self._groups: list[list[Blob]] = []
        #: The shapes of the inputs that there is a plan for, and those of the last pass.
        self._planned_for: list[tuple[int, ...]] | None = None
        self._last: list[tuple[int, ...]] | None = None

    def is_out_of_date(self) -> bool:
        """Whether there should be a new plan before the next pass, which begins now.

        So it is where the inputs have had other shapes than those planned for twice in a row, or from the first pass
        on, and where a part was found to be better off elsewhere.
        """
        shapes = [blob.shape for blob in self._inputs]
        last, self._last = self._last, shapes
        changed = shapes != self._planned_for and (last is None or last == shapes)
        return changed or len(self._refused) != self._refused_then

    def plan(self) -> list[list[Memory]]:
        """Give the blobs their memories.

        Returns:
            For each node, the memories whose turn ends with it.
        """
        if self._planned_for is not None:
            self._begin_anew()
        self._planned_for = [blob.shape for blob in self._inputs]
        self._refused_then = len(self._refused)
        own = {id(blob.memory[0]) for blob in self._kept}
        touched = [
            [blob for blob in (*node.bottom, *node.top) if id(blob.memory[0]) not in own] for node in self._nodes
        ]
        turns = take_turns(touched, 0)
        most = sum(slot.memory.size for slot in turns)
        parts = find_parts(self._nodes, own, self._refused)
        while parts:
            found = take_turns(touched, 0, parts)
            if sum(slot.memory.size for slot in found) <= most:
                turns = found
                break
            parts = _without_longest(parts)
        ends: list[list[Memory]] = [[] for _ in self._nodes]
        for slot in turns:
            for last in slot.ends:
                ends[last].append(slot.memory)
        self._place(touched, turns, parts, ends)
        return ends

    def _begin_anew(self) -> None:
        """Let no two blobs share memory but those whose layers say so, and give all the shapes of the inputs."""
        self._planned_for = []  # nothing, where a layer refuses the shapes
        for blobs in self._groups:
            memory = Memory(max(blob.count for blob in blobs), blobs[0].dtype, blobs[0].device)
            for blob in blobs:
                blob.use_memory(memory)
        for node in self._everything:
            node.placement = None
            node.reshape()

    def _place(
        self,
        touched: Sequence[Sequence[Blob]],
        turns: Sequence[Turns],
        parts: Mapping[int, PartOf],
        ends: Sequence[list[Memory]],
    ) -> None:
        """Give the blobs the memories of their turns, and to parts of others their places in those."""
        groups: dict[int, dict[int, Blob]] = {}
        for blob in (blob for blobs in touched for blob in blobs):
            groups.setdefault(id(blob.memory[0]), {})[id(blob)] = blob
        memories = {id(blobs[0].memory[0]): slot.memory for slot in turns for blobs in slot.groups}

        def memory_of(key: int) -> Memory:
            if key not in memories:
                part = parts[key]
                memories[key] = Part(memory_of(part.whole), part.start, part.size)
                ends[part.last].append(memories[key])
            return memories[key]

        self._groups = [list(blobs.values()) for blobs in groups.values()]
        for key, blobs in groups.items():
            for blob in blobs.values():
                blob.use_memory(memory_of(key))
        for index in {part.node for part in parts.values()}:
            node = self._nodes[index]
            node.placement = Placement(node.layer, node.bottom, node.top, index, self._refused)


class PartOf(NamedTuple):
    """A memory that may lie in another one.

    Attributes:
        whole: the id of the other.
        start, size: which of its elements.
        node: the place in the pass of the layer that joins or cuts.
        last: that of the last touch of the part.
        cost: elements of the whole, times the layers for which it is in use on account of the part.
    """

    whole: int
    start: int
    size: int
    node: int
    last: int
    cost: int


def find_parts(nodes: Sequence[Node], own: Collection[int], refused: Refused) -> dict[int, PartOf]:
    """The memories that may lie in others, by their ids.

    Parts that are joined are not touched by a later layer, and the whole not by an earlier one, so that it is always
    known which of them has the values; so it is, the other way round, where a layer cuts.

    Args:
        own: the ids of memories that are to stay as they are.
        refused: what is not to be a part.
    """
    blobs: dict[int, list[Blob]] = {}
    first: dict[int, int] = {}
    last: dict[int, int] = {}
    for index, node in enumerate(nodes):
        for blob in (*node.bottom, *node.top):
            key = id(blob.memory[0])
            blobs.setdefault(key, []).append(blob)
            first.setdefault(key, index)
            last[key] = index
    parts: dict[int, PartOf] = {}
    for index, node in enumerate(nodes):
        layer = node.layer
        found = layer.side_by_side(node.bottom, node.top) if isinstance(layer, PutsSideBySide) else None
        if found is None or not layer.context.device.is_host or node.is_shared:
            continue
        whole = id(found[0].memory[0])
        joins = any(found[0] is blob for blob in node.top)
        if whole in own or (first if joins else last)[whole] != index:
            continue
        keys = [id(blob.memory[0]) for blob in found[1]]
        start = 0
        for number, (blob, key) in enumerate(zip(found[1], keys, strict=True)):
            ends_here = (last if joins else first)[key] == index
            same = {blob.count} == {other.count for other in blobs[key]}
            alone = keys.count(key) == 1 and key != whole
            free = key not in own and key not in parts and (index, number) not in refused
            if ends_here and same and alone and free and 0 < blob.count < found[0].count:
                wait = index - first[key] if joins else last[key] - index
                parts[key] = PartOf(whole, start, blob.count, index, last[key], found[0].count * wait)
            start += blob.count
    return parts


def _without_longest(parts: Mapping[int, PartOf]) -> dict[int, PartOf]:
    """The parts without those of the layer for which the most memory is in use the longest."""
    worst = max(parts.values(), key=lambda part: part.cost).node
    return {key: part for key, part in parts.items() if part.node != worst}


class Turns(NamedTuple):
    """One memory, and the blobs that take turns in it.

    Attributes:
        groups: for each turn, the blobs that had one memory before.
        ends: for each turn, the place in the pass of its last touch.
    """

    memory: Memory
    groups: list[list[Blob]]
    ends: list[int]


def take_turns(touched: Sequence[Sequence[Blob]], kind: int, parts: Mapping[int, PartOf] | None = None) -> list[Turns]:
    """Few memories for blobs of which each is in use from its first touch to its last.

    Args:
        touched: for each step of a pass, the blobs that it reads or writes.
        kind: 0 for their values, 1 for their gradients.
        parts: by their ids, memories that lie in others: those are in use where they are.
    """
    members: dict[int, list[Blob]] = {}
    first: dict[int, int] = {}
    last: dict[int, int] = {}
    for index, blobs in enumerate(touched):
        for blob in blobs:
            key = id(blob.memory[kind])
            if parts and key in parts:
                while key in parts:
                    key = parts[key].whole
            else:
                members.setdefault(key, []).append(blob)
            first.setdefault(key, index)
            last[key] = index
    keys = list(members)
    room_of, sizes = divide_rooms(
        [Life(first[key], last[key]) for key in keys], [max(blob.count for blob in members[key]) for key in keys]
    )
    turns: list[list[int]] = [[] for _ in sizes]
    for key, room in sorted(zip(keys, room_of, strict=True), key=lambda one: first[one[0]]):
        turns[room].append(key)
    return [
        Turns(
            Memory(size, members[ours[0]][0].dtype, members[ours[0]][0].device),
            [members[key] for key in ours],
            [last[key] for key in ours],
        )
        for size, ours in zip(sizes, turns, strict=True)
    ]
