"""Replay: layers whose forward pass only calls native functions, run again as those calls alone.

Python finds out anew, for each layer in each pass, that everything is as it was in the last one: some ten microseconds
a layer, more where the layer's arrays have driven Python out of the caches. A stretch of layers that are `Replays` is
recorded once nothing has changed for two passes, and from then on found unchanged as a whole.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from operator import is_
from typing import Any, NamedTuple

from bicerin.device.memory import Layout, Memory, Room, changes, moves
from bicerin.kernels import num_threads
from bicerin.kernels.recording import Call, recording
from bicerin.layer.abilities import Repetition, Replays
from bicerin.net.node import Node

#: Layers in a stretch for which this is worth while.
_LEAST = 2

#: Recordings in a row that were of no use, after which there are no more: inputs come from another array each time.
_MOST_FAILURES = 5

#: A memory with the layout in which its values are; None for rows.
Place = tuple[Memory, Layout | None]


class Recorded(NamedTuple):
    """A node's forward pass.

    Attributes:
        node: it.
        calls: what it called.
        repetition: on what they depend.
        bottoms: what it read.
        tops: what it wrote.
        ends: the memories whose values nobody reads after it.
    """

    node: Node
    calls: Sequence[Call]
    repetition: Repetition
    bottoms: Sequence[Place]
    tops: Sequence[Place]
    ends: Sequence[Memory]


class Stretch:
    """Consecutive nodes that are run as their calls.

    Args:
        start: the place of the first in the pass.
        recorded: the forward pass of each.

    Attributes:
        start, end: their places in the pass; `end` is the next node's.
    """

    def __init__(self, start: int, recorded: Sequence[Recorded]) -> None:
        self.start, self.end = start, start + len(recorded)
        self._nodes = [one.node for one in recorded]
        self._calls = [call for one in recorded for call in one.calls]
        self._attributes = [function for one in recorded for function in one.repetition.attributes]
        self._keeps = [one.repetition.keeps for one in recorded]
        self._values = [function() for function in self._attributes]
        self._blobs = list({id(blob): blob for node in self._nodes for blob in (*node.bottom, *node.top)}.values())
        self._shapes = [blob.shape for blob in self._blobs]
        self._memories = [blob.memory[0] for blob in self._blobs]
        self._stores = [memory.stores for memory in self._memories]
        self._places = [tuple(map(id, stores)) for stores in self._stores]
        self._sources, self._results = _flow(recorded)
        self._moves = moves.number
        self._situation = _situation()

    def run(self) -> bool:
        """Make the calls, if they are right at present; whether they were, and all of them went well."""
        if not self._is_current() or any([call() for call in self._calls]):  # noqa: C419 - a list is faster
            return False
        for memory, layout in self._results:
            memory.filled(layout)
        return True

    def _is_current(self) -> bool:
        if self._situation != _situation() or self._values != [function() for function in self._attributes]:
            return False
        for memory, layout in self._sources:
            if layout is None:
                memory.host_array(write=False)
                memory.prefer_rows()
            elif memory.layout is not layout:
                return False
        if self._moves != moves.number:
            if not self._is_in_place():
                return False
            self._moves = moves.number
        return all([layout is None or memory.may_be_arranged for memory, layout in self._results])  # noqa: C419

    def _is_in_place(self) -> bool:
        """Whether every blob has the shape and the memory that it had."""
        memories = [blob.memory[0] for blob in self._blobs]
        return (
            all(map(is_, memories, self._memories))
            and self._shapes == [blob.shape for blob in self._blobs]
            and self._places == [tuple(map(id, memory.stores)) for memory in memories]
        )


def _flow(recorded: Sequence[Recorded]) -> tuple[list[Place], list[Place]]:
    """What nodes read that they have not written before, and what is left when they are through."""
    sources: dict[int, Place] = {}
    written: set[int] = set()
    results: dict[int, Place] = {}
    for one in recorded:
        for place in one.bottoms:
            if id(place[0]) not in written:
                sources.setdefault(id(place[0]), place)
        for place in one.tops:
            written.add(id(place[0]))
            results[id(place[0])] = place
        for memory in one.ends:
            results.pop(id(memory), None)
    return list(sources.values()), list(results.values())


class ReplayedPass:
    """Nodes that run one after the other, and as their calls where they can.

    Args:
        nodes: they.
        ends: for each the memories whose values nobody reads after it.
    """

    def __init__(self, nodes: Sequence[Node], ends: Sequence[Sequence[Memory]]) -> None:
        self._nodes, self._ends = nodes, ends
        self._stretches: list[Stretch] = []
        #: After a pass in which nothing changed: how things were. None where the next pass need not be recorded.
        self._calm: Any = None
        self._can_replay = sum(isinstance(node.doer, Replays) for node in nodes) >= _LEAST
        self._failures = 0

    def forget(self) -> None:
        """Layers may be told something else before the next pass."""
        self._stretches, self._calm = [], None

    def run(self) -> float:
        """Run the nodes; returns their weighted loss."""
        if not self._can_replay or self._failures > _MOST_FAILURES:
            return self._run(0, len(self._nodes))
        if self._stretches:
            return self._run_stretches()
        before = self._state()
        if self._calm != before:
            loss = self._run(0, len(self._nodes))
            after = self._state()
            self._calm = after if after == before else None
            return loss
        return self._record()

    def _state(self) -> Any:
        """What must be the same before and after a pass, and before the next, for that to be worth recording."""
        return _situation(), Room.made, [blob.shape for blob in self._nodes[0].top]

    def _run(self, start: int, end: int) -> float:
        loss = 0.0
        for node, ends in zip(self._nodes[start:end], self._ends[start:end], strict=True):
            loss += node.forward()
            for memory in ends:
                memory.forget()
        return loss

    def _run_stretches(self) -> float:
        loss, place, current = 0.0, 0, True
        for stretch in self._stretches:
            loss += self._run(place, stretch.start)
            if not stretch.run():
                current = False
                loss += self._run(stretch.start, stretch.end)
            place = stretch.end
        if current:
            self._failures = 0
        else:
            self._failures += 1
            self.forget()
        return loss + self._run(place, len(self._nodes))

    def _record(self) -> float:
        loss, made = 0.0, Room.made
        passes: list[Recorded | None] = []
        written: set[int] = set()
        for node, ends in zip(self._nodes, self._ends, strict=True):
            bottoms = [blob.memory[0] for blob in node.bottom]
            for memory in bottoms:
                if id(memory) not in written:
                    memory.prefer_rows()
            sources = [(memory, memory.layout) for memory in bottoms]
            calls: list[Call] = []
            recording.calls = calls
            try:
                loss += node.forward()
            finally:
                recording.calls = None
            repetition = node.repetition()
            tops = [(blob.memory[0], blob.memory[0].layout) for blob in node.top]
            written.update(id(memory) for memory, _ in tops)
            passes.append(None if repetition is None else Recorded(node, calls, repetition, sources, tops, ends))
            for memory in ends:
                memory.forget()
        if made == Room.made:
            self._stretches = self._stretches_of(passes)
        return loss

    def _stretches_of(self, passes: Sequence[Recorded | None]) -> list[Stretch]:
        found: list[Stretch] = []
        run: list[Recorded] = []
        for index, one in enumerate([*passes, None]):
            if one is not None:
                run.append(one)
                continue
            start = index - len(run)
            if sum(bool(recorded.calls) for recorded in run) >= _LEAST:
                found.append(Stretch(start, run))
            run = []
        return found


def _situation() -> tuple[int, int, int]:
    """What calls depend on besides blobs: the versions of parameters, what is a loss, the process, and its threads."""
    return changes.number, os.getpid(), num_threads()
