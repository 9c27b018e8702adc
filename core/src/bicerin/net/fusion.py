"""Which layers do the work of element-wise layers after them, in place, in their own forward pass.

The first may be a convolution, or itself a layer of scale and shift, as of BatchNorm, Scale and ReLU before a
convolution: see `AffineChain`.

The blobs are the same as without, once a whole forward pass is done. The layers' part: `bicerin.layer.abilities`.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

import numpy as np

from bicerin.device.memory import Memory
from bicerin.kernels.affine import Affine
from bicerin.layer.abilities import ActsAffinely, AddsAnother, Finishes, IsSum
from bicerin.layer.blob import Blob
from bicerin.net.affine_chain import AffineChain
from bicerin.net.node import Node
from bicerin.net.replay import ReplayedPass
from bicerin.net.shared_memory import SharedMemory


class Fusion(NamedTuple):
    """A layer, by its place in the net, that does the work of others.

    Attributes:
        absorbed: the places of those that only scale, shift and rectify.
        top: the blob that the last of them writes, which the layer then writes at once.
        chain_axis: where the layer is itself one of those that can be absorbed, the axis of its channels; else None.
        sum: the place of a layer that adds another blob to what these write, and of the rectifier after it, if there
            is one.
        addend: that blob.
    """

    producer: int
    absorbed: list[int]
    top: Blob
    chain_axis: int | None
    sum: Sequence[int] = ()
    addend: Blob | None = None


class FusedLayer:
    """A layer, as a layer whose forward pass does the work of others.

    Args:
        nodes: its own node, as it is without, and those whose work it does.
        layer: what does all their work in its `forward`: their first layer, or an `AffineChain`.

    Attributes:
        doer: that one.
    """

    def __init__(self, nodes: Sequence[Node], layer: Any) -> None:
        self._nodes, self.doer = nodes, layer
        self._axes = nodes[-1].top[0].num_axes

    def __getattr__(self, name: str) -> Any:
        return getattr(self._nodes[0].layer, name)

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        self._nodes[0].layer.reshape(self._nodes[0].bottom, top)

    @property
    def has_loss(self) -> bool:
        """Whether one of the layers became a loss after they were put together, so that its own top counts."""
        return any([node._weighted for node in self._nodes])  # noqa: C419 - a list is faster

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        if top[0].num_axes != self._axes:
            # Which axis has the channels may be counted from the last: the layers may not fit each other any more.
            self.run_one_by_one()
            return
        if self._nodes[0].top[0].shape != top[0].shape:  # a dropped blob, which still has a shape
            for node in self._nodes:
                node.reshape()
        self.doer.forward(self._nodes[0].bottom, top)

    def run_one_by_one(self) -> float:
        """Run each of the layers by itself; returns the sum of their weighted losses."""
        work = Work.of(self._nodes[0].layer)
        work.take_away()
        try:
            return sum(node.forward() for node in self._nodes)
        finally:
            work.give()


class Work(NamedTuple):
    """What a layer does for others in a fused pass, as it is told."""

    layer: Any
    absorbed: Sequence[ActsAffinely] = ()
    addend: Blob | None = None
    rectifiers: Sequence[ActsAffinely] = ()

    @classmethod
    def of(cls, layer: Any) -> Work:
        """What it has been told to do at present."""
        if not isinstance(layer, AddsAnother):
            return cls(layer, layer.absorbed if isinstance(layer, Finishes) else ())
        return cls(layer, layer.absorbed, layer.addend, layer.rectifiers)

    def give(self) -> None:
        if isinstance(self.layer, Finishes):
            self.layer.absorbed = self.absorbed
        if isinstance(self.layer, AddsAnother):
            self.layer.addend, self.layer.rectifiers = self.addend, self.rectifiers

    def take_away(self) -> None:
        Work(self.layer).give()


class FusedPass:
    """A whole forward pass in which layers do the work of others.

    Args:
        nodes: the net's.
        dropped: see `plan_fusion`.
        dtype: of the blobs.

    Attributes:
        nodes: those that run in it.
    """

    def __init__(self, nodes: Sequence[Node], dropped: Collection[int], dtype: np.dtype[Any]) -> None:
        self._works: list[Work] = []
        self._begun = False
        self._shared: SharedMemory | None = None
        absorbed: set[int] = set()
        producers: dict[int, Node] = {}
        for fusion in plan_fusion(nodes, dropped):
            absorbed.update((*fusion.absorbed, *fusion.sum))
            parts = [nodes[index] for index in (fusion.producer, *fusion.absorbed, *fusion.sum)]
            layer: Any = parts[0].layer
            layers: list[Any] = [nodes[index].layer for index in fusion.absorbed]
            if fusion.chain_axis is None:
                rectifiers: list[Any] = [nodes[index].layer for index in fusion.sum[1:]]
                self._works.append(Work(layer, layers, fusion.addend, rectifiers))
            else:
                layer = AffineChain([layer, *layers], fusion.chain_axis, dtype)
            also = [] if fusion.addend is None else [fusion.addend]
            producers[fusion.producer] = parts[0].writing(fusion.top, FusedLayer(parts, layer), also)
        self.nodes = [producers.get(index, node) for index, node in enumerate(nodes) if index not in absorbed]
        self.let_end([()] * len(self.nodes))

    def let_end(self, ends: Sequence[Sequence[Memory]]) -> None:
        """Say for each node the memories whose values nobody reads after it."""
        self._pass = ReplayedPass(self.nodes, ends)

    def share(self, shared: SharedMemory) -> None:
        """Let the blobs share memory as planned there, now and whenever they have other shapes."""
        self._shared = shared
        self.let_end(shared.plan())

    def run(self) -> float:
        """Run the nodes; returns their weighted loss."""
        if self._shared is not None and self._shared.is_out_of_date():
            self.let_end(self._shared.plan())
        return self._pass.run()

    def begin(self, fused: bool) -> None:
        """Tell the layers that finish for others whether the next pass is this one, or one of each layer by itself."""
        if fused != self._begun:
            self._begun = fused
            self._pass.forget()
            for work in self._works:
                if fused:
                    work.give()
                else:
                    work.take_away()


def plan_fusion(nodes: Sequence[Node], dropped: Collection[int] = ()) -> list[Fusion]:
    """Which layers can do the work of which.

    Args:
        dropped: the ids of blobs whose values nobody will miss. A layer that reads one may write elsewhere; all others
            must work in place.
    """
    plan = []
    taken: set[int] = set()
    for index, node in enumerate(nodes):
        if index in taken or len(node.top) != 1 or not node.layer.context.device.is_host:
            continue
        axis = node.layer.channel_axis if isinstance(node.layer, Finishes) else _chain_axis(node)
        if axis is None:
            continue
        places = [index]
        while (found := _next(nodes, places[-1], axis, dropped)) is not None:
            places.append(found)
            step = _affine(nodes[found])
            if step is None or step.negative_slope != 1:
                break
        sums, addend = _sum_after(nodes, places, dropped)
        if len(places) > 1 or sums:
            taken.update((*places, *sums))
            chain_axis = None if isinstance(node.layer, Finishes) else axis
            top = nodes[(*places, *sums)[-1]].top[0]
            plan.append(Fusion(index, places[1:], top, chain_axis, sums, addend))
    return plan


def _sum_after(nodes: Sequence[Node], places: Sequence[int], dropped: Collection[int]) -> tuple[list[int], Blob | None]:
    """The place of a sum right after these layers that the first can do too, and of its rectifier; what is added."""
    layer = nodes[places[0]].layer
    at = places[-1] + 1
    if not isinstance(layer, AddsAnother) or at >= len(nodes) or at - places[0] != len(places):
        return [], None
    if layer.channel_axis is None or nodes[places[-1]].is_loss or nodes[at].is_loss:
        return [], None
    last = _affine(nodes[places[-1]]) if len(places) > 1 else None
    node, blob = nodes[at], nodes[places[-1]].top[0]
    adds = isinstance(node.layer, IsSum) and node.layer.is_sum() and sum(one is blob for one in node.bottom) == 1
    if not adds or id(blob) not in dropped or (last is not None and last.negative_slope != 1):
        return [], None
    if any(other.shares_data_with(blob) for one in nodes[at + 1 :] for other in (*one.bottom, *one.top)):
        return [], None
    addend = next(one for one in node.bottom if one is not blob)
    if addend.shares_data_with(blob):
        return [], None
    rectifier = _next(nodes, at, -1, dropped)
    return [at] if rectifier is None else [at, rectifier], addend


def _next(nodes: Sequence[Node], last: int, channel_axis: int, dropped: Collection[int]) -> int | None:
    """The place of the layer that may be done together with the one before it, `last`; None where there is none."""
    if nodes[last].is_loss:
        return None
    blob = nodes[last].top[0]
    readers = [
        index
        for index in range(last + 1, len(nodes))
        if any(other.shares_data_with(blob) for other in (*nodes[index].bottom, *nodes[index].top))
    ]
    if not readers:
        return None
    node = nodes[readers[0]]
    in_place = node.bottom == node.top == [blob]
    moves = node.bottom == [blob] and len(node.top) == 1 and len(readers) == 1 and id(blob) in dropped
    step = _affine(node) if (in_place or moves) and not node.is_loss else None
    if step is None:
        return None
    if step.axis is not None and (step.axis != channel_axis or node.wants_backward):
        return None
    return readers[0]


def _chain_axis(node: Node) -> int | None:
    """The axis of the channels, of a layer that only scales and shifts them, and has no gradient to compute."""
    step = _affine(node)
    if step is None or step.negative_slope != 1 or node.wants_backward or len(node.bottom) != 1:
        return None
    return step.axis


def _affine(node: Node) -> Affine | None:
    return node.layer.affine() if isinstance(node.layer, ActsAffinely) else None
