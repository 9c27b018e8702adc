"""Which layers do the work of element-wise layers after them, in place, in their own forward pass.

The blobs are the same as without, once a whole forward pass is done; see `bicerin.pointwise` for the layers' part.
"""

from __future__ import annotations

from collections.abc import Sequence

from bicerin.blob import Blob
from bicerin.layer import Layer


def plan_fusion(
    layers: Sequence[Layer],
    bottoms: Sequence[Sequence[Blob]],
    tops: Sequence[Sequence[Blob]],
    wants_backward: Sequence[bool],
) -> dict[int, list[int]]:
    """For each layer that can do the work of others, which; all by their places in the net."""
    plan = {}
    for index, layer in enumerate(layers):
        if layer.channel_axis is None or len(tops[index]) != 1 or layer.is_shared or not layer.device.is_host:
            continue
        absorbed = _absorbed(layers, bottoms, tops, wants_backward, index)
        if absorbed:
            plan[index] = absorbed
    return plan


def _absorbed(
    layers: Sequence[Layer],
    bottoms: Sequence[Sequence[Blob]],
    tops: Sequence[Sequence[Blob]],
    wants_backward: Sequence[bool],
    producer: int,
) -> list[int]:
    blob = tops[producer][0]
    found: list[int] = []
    if _contributes(layers[producer]):
        return found
    for index in range(producer + 1, len(layers)):
        touched = (*bottoms[index], *tops[index])
        if not any(other.shares_data_with(blob) for other in touched):
            continue
        layer = layers[index]
        if any(other is not blob for other in touched) or len(touched) != 2 or _contributes(layer):
            break
        step = layer.pointwise()
        if step is None:
            break
        if step.axis is not None and (step.axis != layers[producer].channel_axis or wants_backward[index]):
            break
        found.append(index)
        if step.negative_slope != 1:
            break
    return found


def _contributes(layer: Layer) -> bool:
    """Whether the layer's tops count in the loss, which is then summed right after it ran."""
    return bool(layer._weighted)
