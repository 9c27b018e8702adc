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
from bicerin.layer.abilities import ActsAffinely, Finishes
from bicerin.layer.blob import Blob
from bicerin.net.affine_chain import AffineChain
from bicerin.net.node import Node


class Fusion(NamedTuple):
    """A layer, by its place in the net, that does the work of others.

    Attributes:
        absorbed: the places of those.
        top: the blob that the last of them writes, which the layer then writes at once.
        chain_axis: where the layer is itself one of those that can be absorbed, the axis of its channels; else None.
    """

    producer: int
    absorbed: list[int]
    top: Blob
    chain_axis: int | None


class FusedLayer:
    """A layer, as a layer whose forward pass does the work of others.

    Args:
        nodes: its own node, as it is without, and those whose work it does.
        layer: what does all their work in its `forward`: their first layer, or an `AffineChain`.
    """

    def __init__(self, nodes: Sequence[Node], layer: Any) -> None:
        self._nodes, self._layer = nodes, layer
        self._axes = nodes[-1].top[0].num_axes

    def __getattr__(self, name: str) -> Any:
        return getattr(self._nodes[0].layer, name)

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
        self._layer.forward(bottom, top)

    def run_one_by_one(self) -> float:
        """Run each of the layers by itself; returns the sum of their weighted losses."""
        layer = self._nodes[0].layer
        absorbed: Sequence[ActsAffinely] = ()
        if isinstance(layer, Finishes):
            absorbed, layer.absorbed = layer.absorbed, ()
        try:
            return sum(node.forward() for node in self._nodes)
        finally:
            if isinstance(layer, Finishes):
                layer.absorbed = absorbed


class FusedPass:
    """A whole forward pass in which layers do the work of others.

    Args:
        nodes: the net's.
        dropped: see `plan_fusion`.
        dtype: of the blobs.

    Attributes:
        nodes: those that run in it.
        ends: for each of them the memories whose values nobody reads after it, where such are known.
    """

    def __init__(self, nodes: Sequence[Node], dropped: Collection[int], dtype: np.dtype[Any]) -> None:
        self._absorbed: list[tuple[Any, list[Any]]] = []
        self._begun = False
        absorbed: set[int] = set()
        producers: dict[int, Node] = {}
        for fusion in plan_fusion(nodes, dropped):
            absorbed.update(fusion.absorbed)
            parts = [nodes[index] for index in (fusion.producer, *fusion.absorbed)]
            layer: Any = parts[0].layer
            layers: list[Any] = [node.layer for node in parts[1:]]
            if fusion.chain_axis is None:
                self._absorbed.append((layer, layers))
            else:
                layer = AffineChain([layer, *layers], fusion.chain_axis, dtype)
            producers[fusion.producer] = parts[0].writing(fusion.top, FusedLayer(parts, layer))
        self.nodes = [producers.get(index, node) for index, node in enumerate(nodes) if index not in absorbed]
        self.ends: Sequence[Sequence[Memory]] = [()] * len(self.nodes)

    def run(self) -> float:
        """Run the nodes; returns their weighted loss."""
        loss = 0.0
        for node, ends in zip(self.nodes, self.ends, strict=True):
            loss += node.forward()
            for memory in ends:
                memory.forget()
        return loss

    def begin(self, fused: bool) -> None:
        """Tell the layers that finish for others whether the next pass is this one, or one of each layer by itself."""
        if fused != self._begun:
            self._begun = fused
            for layer, absorbed in self._absorbed:
                layer.absorbed = absorbed if fused else ()


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
        if len(places) > 1:
            taken.update(places)
            chain_axis = None if isinstance(node.layer, Finishes) else axis
            plan.append(Fusion(index, places[1:], nodes[places[-1]].top[0], chain_axis))
    return plan


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
