"""Values that are not kept for the backward pass, but computed again when it reads them.

Where layers train together, what the last of them writes follows from what the first one reads and a few numbers of
each channel. So it need not be kept: such blobs take turns in few memories, twice. The first turn is from the layer
that writes it to the last one that reads it in the forward pass, the second from the first to the last of those that
read it in the backward pass. The one more pass over the values costs little while they stay in the processor's caches,
since the layers around it read them there; larger ones are kept, unless the backward pass does not read them at all.
The layers' part: `TrainsTogether` and `RereadsBottoms`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bicerin.device.memory import Memory
from bicerin.layer.abilities import RereadsBottoms
from bicerin.layer.blob import Blob
from bicerin.layer.split import SplitLayer
from bicerin.net.node import Node
from bicerin.net.turns import Life, divide_rooms

#: The most bytes that are computed again, about what a core's share of the caches holds.
LARGEST = 8 << 20


class Renewal:
    """What some layers that train together write, in memory that it gives up between its turns.

    Args:
        node: the layers as one.
        blobs: all that have this memory: the layers' top, and what a Split makes of it.
        forward: the first turn.
        backward: the second one; None where the backward pass does not read the values.

    Attributes:
        first, again: the memories of the two turns; `give_memories` sets them.
    """

    first: Memory
    again: Memory | None = None

    def __init__(self, node: Node, blobs: Sequence[Blob], forward: Life, backward: Life | None) -> None:
        self.blobs = blobs
        self._bottom, self._top = node.bottom, node.top
        self._layer: Any = node.layer
        self.forward, self.backward = forward, backward
        self.size = max(blob.count for blob in blobs)

    def begin(self) -> None:
        """Have the first turn."""
        self._use(self.first)
        for blob in self.blobs:
            blob.renew = self.keep

    def renew(self) -> None:
        """Have the second turn, with the values of the first."""
        # Blobs that have grown since have left for a memory of their own, and keep it.
        if self.again is not None and all(blob.memory[0] is self.first for blob in self.blobs):
            self._write(self.again)

    def keep(self) -> None:
        """Have the values where they stay, for somebody who reads them."""
        self._write(self._own())

    def end(self) -> None:
        """Have memory of its own, whose values are nobody's."""
        if any(blob.memory[0].passes for blob in self.blobs):
            self._use(self._own())
        for blob in self.blobs:
            blob.renew = None

    def _own(self) -> Memory:
        return Memory(self.size, self.first.dtype, self.first.device)

    def _write(self, memory: Memory) -> None:
        memory.forget()
        self._use(memory)
        self._layer.forward_again(self._bottom, self._top)

    def _use(self, memory: Memory) -> None:
        for blob in self.blobs:
            if blob.memory[0] is not memory:
                blob.use_memory(memory)


def plan_renewals(nodes: Sequence[Node], together: Mapping[int, tuple[Node, Sequence[int]]]) -> list[Renewal]:
    """The values that can be computed again: nobody holds them, and each layer that reads them asks the blob.

    Args:
        nodes: the net's.
        together: the layers that train together, by the place of their first: as one, and the places of all.
    """
    members: dict[int, dict[int, Blob]] = {}
    readers: dict[int, list[int]] = {}
    writers: dict[int, list[int]] = {}
    for index, node in enumerate(nodes):
        for among, users in ((node.bottom, readers), (node.top, writers)):
            for blob in among:
                key = id(blob.memory[0])
                members.setdefault(key, {})[id(blob)] = blob
                users.setdefault(key, []).append(index)
    last = 2 * len(nodes) - 1
    found: dict[int, Renewal] = {}
    for first, (joined, places) in together.items():
        key, bottom = id(joined.top[0].memory[0]), joined.bottom[0]
        in_place = bottom is joined.top[0]
        reads = [index for index in readers.get(key, []) if index not in places]
        writes = {index for index in writers[key] if index not in places and not _splits(nodes[index])}
        blobs = list(members[key].values())
        # What is computed again is computed from what is kept.
        from_kept = in_place or id(bottom.memory[0]) not in found
        written_here = len(writes) == int(in_place) and all(index < first for index in writes)
        if not (reads and from_kept and written_here and _may_pass(joined.top[0], blobs)):
            continue
        if not all(_rereads(nodes[index]) for index in reads):
            continue
        again = [last - index for index in reads if nodes[index].wants_backward and _reads_back(nodes[index])]
        if again and joined.top[0].count * joined.top[0].dtype.itemsize > LARGEST:
            continue
        start = min(writes, default=first)
        found[key] = Renewal(joined, blobs, Life(start, max(reads)), Life(min(again), max(again)) if again else None)
    return list(found.values())


def _splits(node: Node) -> bool:
    return isinstance(node.layer, SplitLayer)


def _may_pass(top: Blob, blobs: Sequence[Blob]) -> bool:
    memory = top.memory[0]
    return memory.may_be_arranged and not memory.versioned and all(blob.count == top.count for blob in blobs)


def _rereads(node: Node) -> bool:
    return isinstance(node.layer, RereadsBottoms) and node.layer.runs_on != "host" and not node.is_shared


def _reads_back(node: Node) -> bool:
    return isinstance(node.layer, RereadsBottoms) and node.layer.reads_in_bottoms()


def give_memories(renewals: Sequence[Renewal]) -> None:
    """Give each the memories of its turns: few, each for values of one size, since layers in place exchange whole
    memories.
    """
    turns = [(one, "first", one.forward) for one in renewals]
    turns += [(one, "again", one.backward) for one in renewals if one.backward is not None]
    room_of, sizes = divide_rooms([life for *_, life in turns], [one.size for one, *_ in turns], exact=True)
    memories: dict[int, Memory] = {}
    for (renewal, turn, _), room in zip(turns, room_of, strict=True):
        if room not in memories:
            memories[room] = Memory(sizes[room], renewal.blobs[0].dtype, renewal.blobs[0].device)
            memories[room].passes = True
        setattr(renewal, turn, memories[room])
