"""Blobs that nobody reads, in memory that they share: what `Net(..., optimize=True)` does.

A blob lives from the layer that first touches its memory to the one that last does. Blobs whose lives do not meet take
turns in one piece of memory, so that a net needs as much as its widest place, not as all its layers together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple, cast

from bicerin.device.memory import Memory
from bicerin.errors import NetError
from bicerin.layer.abilities import KeepsTops
from bicerin.layer.blob import Blob
from bicerin.net.node import Node

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


def share_memory(nodes: Sequence[Node], kept: Iterable[Blob]) -> list[list[Memory]]:
    """Let the blobs of a forward pass take turns in few memories; `kept` ones have their own.

    A blob that grows later leaves for a memory of its own.

    Returns:
        For each node, the memories whose turn ends with it.
    """
    own = {id(blob.memory[0]) for blob in kept}
    touched = [[blob for blob in (*node.bottom, *node.top) if id(blob.memory[0]) not in own] for node in nodes]
    turns = take_turns(touched, 0)
    for slot in turns:
        for blobs in slot.groups:
            for blob in blobs:
                blob.use_memory(slot.memory)
    ends: list[list[Memory]] = [[] for _ in nodes]
    for slot in turns:
        for last in slot.ends:
            ends[last].append(slot.memory)
    return ends


class Turns(NamedTuple):
    """One memory, and the blobs that take turns in it.

    Attributes:
        groups: for each turn, the blobs that had one memory before.
        ends: for each turn, the place in the pass of its last touch.
    """

    memory: Memory
    groups: list[list[Blob]]
    ends: list[int]


def take_turns(touched: Sequence[Sequence[Blob]], kind: int) -> list[Turns]:
    """Few memories for blobs of which each is in use from its first touch to its last.

    Args:
        touched: for each step of a pass, the blobs that it reads or writes.
        kind: 0 for their values, 1 for their gradients.
    """
    members: dict[int, list[Blob]] = {}
    first: dict[int, int] = {}
    last: dict[int, int] = {}
    for index, blobs in enumerate(touched):
        for blob in blobs:
            key = id(blob.memory[kind])
            members.setdefault(key, []).append(blob)
            first.setdefault(key, index)
            last[key] = index
    sizes: list[int] = []
    free: list[int] = []
    keys: list[list[int]] = []
    for index in range(len(touched)):
        for key in [key for key in members if first[key] == index]:
            need = max(blob.count for blob in members[key])
            large = [slot for slot in free if sizes[slot] >= need]
            if large:
                slot = min(large, key=sizes.__getitem__)
            elif free:
                slot = max(free, key=sizes.__getitem__)
            else:
                slot = len(sizes)
                sizes.append(0)
                keys.append([])
                free.append(slot)
            free.remove(slot)
            sizes[slot] = max(sizes[slot], need)
            keys[slot].append(key)
        ended = {key for key in members if last[key] == index}
        free += [slot for slot, ours in enumerate(keys) if ours[-1] in ended]
    return [
        Turns(
            Memory(size, members[ours[0]][0].dtype, members[ours[0]][0].device),
            [members[key] for key in ours],
            [last[key] for key in ours],
        )
        for size, ours in zip(sizes, keys, strict=True)
    ]
