"""A pass each way in which layers train together, and the gradients of blobs share memory: what a solver's step does.

The numbers are those of each layer by itself, to rounding. What is in `data` of every blob is what Caffe would hold,
since layers are put together only where the later ones work in place, and what is not kept is computed again for who
reads it (`renewal`); so it is with the gradients of parameters. The gradients of blobs pass: see `shared_memory`. The
layers' part: `TrainsTogether`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from bicerin.device.memory import Memory
from bicerin.layer.abilities import ActsAffinely, TrainsTogether
from bicerin.layer.blob import Blob
from bicerin.net.fusion import FusedPass
from bicerin.net.node import Node
from bicerin.net.renewal import Renewal, give_memories, plan_renewals
from bicerin.net.shared_memory import Turns, take_turns


class TogetherLayer:
    """Some layers as one layer, whose first does the work of all.

    Args:
        nodes: theirs.
    """

    def __init__(self, nodes: Sequence[Node]) -> None:
        self._nodes = nodes
        self._first: Any = nodes[0].layer
        self._others: list[Any] = [node.layer for node in nodes[1:]]
        #: Whether the last forward pass was that of all as one.
        self._together = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._first, name)

    @property
    def has_loss(self) -> bool:
        """Whether one of the layers became a loss after they were put together, so that its own top counts."""
        return any(node.is_loss for node in self._nodes)

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        for node in self._nodes:
            node.reshape()

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        self._together = self.can_be_one
        if self._together:
            self._first.forward_with(self._others, bottom, top)
        else:  # a layer was changed after they were put together
            self.run_one_by_one()

    @property
    def can_be_one(self) -> bool:
        """Whether the first still does the work of all, as they are set up now."""
        return bool(self._first.takes(self._others) == len(self._others))

    def forward_again(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        """Write the last forward pass's values of the top again."""
        self._first.forward_again(bottom, top)

    def run_one_by_one(self) -> float:
        """Run each of the layers by itself; returns the sum of their weighted losses."""
        self._together = False
        return sum(node.forward() for node in self._nodes)

    def backward(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        if self._together:
            self._first.backward_with(self._others, top, propagate_down, bottom)
            return
        for node in reversed(self._nodes):
            if node.wants_backward:
                node.backward()


class TrainingPass:
    """The passes of a net on the host.

    Args:
        nodes: the net's.
        fused: its forward pass, in which layers do the work of others.
    """

    def __init__(self, nodes: Sequence[Node], fused: FusedPass) -> None:
        self._nodes = nodes
        self._fused = fused
        self._put_together()
        self._turns: list[Turns] = []
        #: For each step of the backward pass, the memories whose turn ends with it.
        self._ends: list[list[Memory]] = []
        self._renewals: list[Renewal] = []
        #: For each step of the backward pass, what is to be computed again before it.
        self._renewed: list[list[Renewal]] = []
        #: What the turns depend on: who holds arrays, what is a loss, which layers are one, and the blobs' sizes.
        self._planned_for: Any = None
        self._shares = False
        #: Whether the last forward pass was one of this kind, after which layers cannot run backward by themselves.
        self.ran_last = False

    def _put_together(self) -> None:
        nodes = self._nodes
        plain = {id(node) for node in self._fused.nodes}
        joined: dict[int, Node] = {}
        places_of: dict[int, list[int]] = {}
        for index, node in enumerate(nodes):
            places = _together(nodes, index)
            if len(places) > 1 and all(id(nodes[place]) in plain for place in places):
                group = [nodes[place] for place in places]
                joined[id(node)] = node.writing(node.top[0], TogetherLayer(group))
                joined[id(node)].wants_backward = True
                joined[id(node)].propagate_down = node.propagate_down
                places_of[index] = places
        gone = {id(nodes[place]) for places in places_of.values() for place in places[1:]}
        self._forward = [joined.get(id(node), node) for node in self._fused.nodes if id(node) not in gone]
        #: By the place of their first: layers as one, and the places of all.
        self._joined = {index: (joined[id(nodes[index])], places) for index, places in places_of.items()}
        #: What runs backward, with the places of the layers whose gradients are then complete.
        self._backward = [
            (joined.get(id(node), node), places_of.get(index, [index]))
            for index, node in reversed(list(enumerate(nodes)))
            if id(node) not in gone
        ]

    def run(self, gradients_ready: Sequence[Callable[[int], None]]) -> float:
        """Run both passes; returns the weighted loss.

        Args:
            gradients_ready: functions of a layer's index, called when the gradients of its parameters are complete.
        """
        self._share()
        self._fused.begin(True)
        self.ran_last = True
        for renewal in self._renewals:
            renewal.begin()
        loss = 0.0
        for node in self._forward:
            loss += node.forward()
        for (node, places), renewed, ends in zip(self._backward, self._renewed, self._ends, strict=True):
            for renewal in renewed:
                renewal.renew()
            if node.wants_backward:
                node.backward()
            for memory in ends:
                memory.forget()
            for place in reversed(places) if gradients_ready else ():
                for call in gradients_ready:
                    call(place)
        return loss

    # Memory

    def _share(self) -> None:
        """Have the gradients of blobs share memory, and the values that can be computed again."""
        blobs = {id(blob): blob for node in self._nodes for blob in (*node.bottom, *node.top)}
        held = {key for key, blob in blobs.items() if blob.memory[1].is_held}
        ones = {index: one for index, one in self._joined.items() if _is_one(one[0])}
        read = {key for key, blob in blobs.items() if not blob.memory[0].may_be_arranged}
        counts = [one[0].top[0].count for one in ones.values()]
        wanted = held, read, [id(node) for node in self._nodes if node.is_loss], list(ones), counts
        if self._shares and wanted == self._planned_for:
            return
        self.end()
        if wanted != self._planned_for:
            self._planned_for = wanted
            self._turns = take_turns(self._touched({id(blobs[key].memory[1]) for key in held}), 1)
            self._ends = [[] for _ in self._backward]
            for turns in self._turns:
                turns.memory.passes = True
                for last in turns.ends:
                    self._ends[last].append(turns.memory)
            self._renewals = plan_renewals(self._nodes, ones)
            give_memories(self._renewals)
            steps = {places[0]: step for step, (_, places) in enumerate(self._backward)}
            self._renewed = [[] for _ in self._backward]
            for renewal in self._renewals:
                if renewal.backward is not None:
                    first_reader = 2 * len(self._nodes) - 1 - renewal.backward.start
                    self._renewed[steps[first_reader]].append(renewal)
        for turns in self._turns:
            for blob in (blob for group in turns.groups for blob in group if blob.count <= turns.memory.size):
                blob.use_diff_memory(turns.memory)
        self._shares = True

    def end(self) -> None:
        """Give the blobs memories of their own, where they share them."""
        if not self._shares:
            return
        self._shares = False
        for renewal in self._renewals:
            renewal.end()
        for turns in self._turns:
            for group in turns.groups:
                passing = [blob for blob in group if blob.memory[1].passes]
                memory = Memory(
                    max((blob.count for blob in passing), default=0), turns.memory.dtype, turns.memory.device
                )
                for blob in passing:
                    blob.use_diff_memory(memory)
        for node in self._nodes:
            if node.is_loss:  # its gradient is its weight, which may have been set meanwhile
                node.loss_weights = node.loss_weights

    def _touched(self, held: set[int]) -> list[list[Blob]]:
        """For each step of the backward pass, the blobs whose gradients may share memory.

        They are those that each pass writes before it reads them.

        Args:
            held: the ids of memories that somebody holds.
        """
        own = set(held)
        read = {id(blob.memory[1]) for node in self._nodes for blob in node.bottom}
        for node in self._nodes:
            own.update(id(blob.memory[1]) for blob in node.top if node.is_loss or id(blob.memory[1]) not in read)
            # Code of the user's may keep what it gets.
            keeps = node.layer.runs_on == "host" or node.is_shared
            for blob, wanted in zip(node.bottom, node.propagate_down, strict=True):
                if keeps or not (wanted and node.wants_backward):
                    own.add(id(blob.memory[1]))
            if keeps:
                own.update(id(blob.memory[1]) for blob in node.top)
        return [
            [blob for blob in (*node.bottom, *node.top) if id(blob.memory[1]) not in own] for node, _ in self._backward
        ]


def _is_one(joined: Node) -> bool:
    layer: Any = joined.layer
    return layer.can_be_one and not layer.has_loss


def _together(nodes: Sequence[Node], first: int) -> list[int]:
    """The places of a layer and of those right after it that can train together with it."""
    node = nodes[first]
    layer = node.layer
    alone = [first]
    if not isinstance(layer, TrainsTogether) or not node.wants_backward or node.is_loss or node.is_shared:
        return alone
    if not layer.context.device.is_host or len(node.top) != 1:
        return alone
    blob, places = node.top[0], [first]
    for index in range(first + 1, len(nodes)):
        other = nodes[index]
        fits = other.bottom == other.top == [blob] and isinstance(other.layer, ActsAffinely)
        if not fits or other.is_loss or other.is_shared or not other.wants_backward:
            break
        places.append(index)
    layers: list[Any] = [nodes[place].layer for place in places[1:]]
    return places[: 1 + layer.takes(layers)]
