"""Which layers do the work of element-wise layers after them, in place, in their own forward pass.

The blobs are the same as without, once a whole forward pass is done; see `bicerin.kernels.affine` for the layers' part.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

from bicerin.layer.blob import Blob
from bicerin.layer.layer import Layer


class Fusion(NamedTuple):
    """A layer, by its place in the net, that does the work of others.

    Attributes:
        absorbed: the places of those.
        top: the blob that the last of them writes, which the layer then writes at once.
    """

    producer: int
    absorbed: list[int]
    top: Blob


def plan_fusion(
    layers: Sequence[Layer],
    bottoms: Sequence[Sequence[Blob]],
    tops: Sequence[Sequence[Blob]],
    wants_backward: Sequence[bool],
    dropped: Collection[int] = (),
) -> list[Fusion]:
    """Which layers can do the work of which.

    Args:
        dropped: the ids of blobs whose values nobody will miss. A layer that reads one may write elsewhere; all others
            must work in place.
    """
    plan = []
    for index, layer in enumerate(layers):
        if layer.channel_axis is None or len(tops[index]) != 1 or layer.is_shared or not layer.device.is_host:
            continue
        fusion = Fusion(index, [], tops[index][0])
        while not _contributes(layers[index]):
            found = _next(layers, bottoms, tops, wants_backward, fusion, dropped)
            if found is None:
                break
            index = found
            fusion = Fusion(fusion.producer, [*fusion.absorbed, index], tops[index][0])
            step = layers[index].pointwise()
            if step is None or step.negative_slope != 1:
                break
        if fusion.absorbed:
            plan.append(fusion)
    return plan


def _next(
    layers: Sequence[Layer],
    bottoms: Sequence[Sequence[Blob]],
    tops: Sequence[Sequence[Blob]],
    wants_backward: Sequence[bool],
    fusion: Fusion,
    dropped: Collection[int],
) -> int | None:
    """The layer that may be done together with those of the fusion."""
    blob = fusion.top
    last = fusion.absorbed[-1] if fusion.absorbed else fusion.producer
    readers = [
        index
        for index in range(last + 1, len(layers))
        if any(other.shares_data_with(blob) for other in (*bottoms[index], *tops[index]))
    ]
    if not readers:
        return None
    index = readers[0]
    layer, bottom, top = layers[index], list(bottoms[index]), list(tops[index])
    in_place = bottom == top == [blob]
    moves = bottom == [blob] and len(top) == 1 and len(readers) == 1 and id(blob) in dropped
    step = layer.pointwise() if (in_place or moves) and not _contributes(layer) else None
    if step is None:
        return None
    if step.axis is not None and (step.axis != layers[fusion.producer].channel_axis or wants_backward[index]):
        return None
    return index


def _contributes(layer: Layer) -> bool:
    """Whether the layer's tops count in the loss, which is then summed right after it ran."""
    return bool(layer._weighted)
