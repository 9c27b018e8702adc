"""What holds before a net is built: its state, and which layers belong to it in that state.

Source: Caffe's `NetState`, `NetStateRule`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from types import NoneType
from typing import Any

from bicerin.errors import NetError
from bicerin.layer.phase import Phase
from bicerin_proto.quotation import printable


def net_state(param: Any, phase: Any = None, level: int | None = None, stages: Sequence[str] | None = None) -> Any:
    """A NetParameter's `state`, changed to what is given."""
    state = param.state
    if phase is not None:
        state.phase = Phase.of(phase)
    if level is not None:
        try:
            state.level = level
        except (ValueError, TypeError):
            raise NetError(f"level={level!r}: a level is a whole number of 32 bits.") from None
    if isinstance(stages, str) or not isinstance(stages, (Iterable, NoneType)):
        raise NetError(f"stages={stages!r}: give a list of names.")
    if stages is not None:
        state.stage.extend(stages)
    return state


def check_propagate_down(layer: Any, location: str) -> None:
    """Check that a layer gives `propagate_down` for each bottom, or not at all.

    Raises:
        NetError: it does neither.
    """
    if len(layer.propagate_down) not in (0, len(layer.bottom)):
        raise NetError(
            f'{location}: layer "{printable(layer.name)}": propagate_down param must be specified either 0 or '
            f"bottom_size times: it is given {len(layer.propagate_down)} times for {len(layer.bottom)} bottom(s)."
        )


def included(layer: Any, state: Any, location: str) -> bool:
    """Whether a layer belongs to a net in `state` (a NetState).

    A layer with `include` rules belongs if one of them is met; one with `exclude` rules, if none is.

    Raises:
        NetError: the layer has rules of both kinds.
    """
    if layer.include and layer.exclude:
        raise NetError(
            f'{location}: layer "{printable(layer.name)}" has both include and exclude rules. '
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


def left_out(net: Any, state: Any, locations: Sequence[str]) -> dict[str, str]:
    """The tops of layers that do not belong to the net in `state` -> a sentence that says so."""
    found: dict[str, str] = {}
    for layer, location in zip(net.layer, locations, strict=True):
        contradictory = layer.include and layer.exclude
        if not contradictory and not included(layer, state, location):
            made = f'Layer "{printable(layer.name)}" ({location}) makes it'
            said = f"{made}, and is left out of the net with {_words(state)}."
            found |= {name: said for name in layer.top if name not in found}
    return found


def _words(state: Any) -> str:
    """Such as `phase TEST, level 1 and stage "deploy"`."""
    words = [f"phase {Phase(state.phase).name}"]
    if state.level:
        words.append(f"level {state.level}")
    words.append(f"stage {', '.join(map(repr, state.stage))}" if state.stage else "no stage")
    return ", ".join(words).replace("'", '"')
