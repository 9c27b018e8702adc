"""Which layers of a net belong to it in a given state: `include` and `exclude` rules.

Source: Caffe's `NetState`, `NetStateRule`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bicerin.errors import NetError


def included(layer: Any, state: Any, location: str) -> bool:
    """Whether a layer belongs to a net in `state` (a NetState).

    A layer with `include` rules belongs if one of them is met; one with `exclude` rules, if none is.

    Raises:
        NetError: the layer has rules of both kinds.
    """
    if layer.include and layer.exclude:
        raise NetError(
            f'{location}: layer "{layer.name}" has both include and exclude rules. '
            "Specify either include rules or exclude rules; not both."
        )
    if layer.include:
        return any(met(rule, state) for rule in layer.include)
    return not any(met(rule, state) for rule in layer.exclude)


def met(rule: Any, state: Any) -> bool:
    """Whether `state` has the rule's phase, a level within its bounds, all its stages and none of its `not_stage`."""
    if rule.HasField("phase") and rule.phase != state.phase:
        return False
    if rule.HasField("min_level") and state.level < rule.min_level:
        return False
    if rule.HasField("max_level") and state.level > rule.max_level:
        return False
    stages = set(state.stage)
    return stages.issuperset(rule.stage) and stages.isdisjoint(rule.not_stage)


def filter_layers(net: Any, state: Any, locations: Sequence[str]) -> list[int]:
    """The indices of the layers that belong to the net in `state`."""
    return [index for index, layer in enumerate(net.layer) if included(layer, state, locations[index])]
