"""Which layers run backward, and which of their bottoms get a gradient.

A layer runs backward if it, or one below it, learns something, and a loss lies above it. A bottom gets a gradient if
something below it learns, unless `propagate_down` says otherwise. Source: Caffe's `Net::Init`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bicerin.layer.layer import Layer


def plan_backward(
    layers: Sequence[Layer],
    definitions: Sequence[Any],
    bottoms: Sequence[Sequence[str]],
    tops: Sequence[Sequence[str]],
    learns: Sequence[bool],
    force: bool,
) -> tuple[list[bool], list[list[bool]]]:
    """For each layer, whether it runs backward, and for each of its bottoms, whether its gradient is computed.

    Args:
        learns: whether a layer has blobs of its own to learn.
        force: the net's `force_backward`: compute every gradient that a layer allows.
    """
    wants: list[bool] = []
    propagate: list[list[bool]] = []
    needed: dict[str, bool] = {}
    for index, definition in enumerate(definitions):
        flags = [needed[name] for name in bottoms[index]]
        if len(definition.propagate_down):
            flags = list(definition.propagate_down)
        wanted = learns[index] or any(flags)
        for name in tops[index]:
            needed[name] = wanted
        wants.append(wanted)
        propagate.append(flags)

    under_loss: set[str] = set()
    skipped: set[str] = set()
    for index in range(len(layers) - 1, -1, -1):
        layer = layers[index]
        names = tops[index]
        # An automatic top has no name, but its loss counts.
        contributes = bool(layer._weighted) or any(name in under_loss for name in names)
        skip = bool(names) and all(name in skipped for name in names)
        if wants[index] and skip:
            wants[index] = False
            propagate[index] = [False] * len(propagate[index])
        if not contributes:
            wants[index] = False
        for position, name in enumerate(bottoms[index]):
            if contributes:
                under_loss.add(name)
            else:
                propagate[index][position] = False
            if propagate[index][position]:
                skipped.discard(name)
            else:
                skipped.add(name)

    if force:
        for index, layer in enumerate(layers):
            wants[index] = True
            propagate[index] = [
                flag or layer.allow_force_backward(position) for position, flag in enumerate(propagate[index])
            ]
            for position in range(len(layer.blobs)):
                layer.set_param_propagate_down(position, True)
    return wants, propagate
