"""Where a blob is read more than once, a Split layer is inserted, so that its gradients are added up.

Source: Caffe's `InsertSplits`, whose names for the new layers and blobs are kept since weights, scripts and logs use
them: blob `b` of layer `l`, its top number `i`, becomes `b_l_i_split_0`, `b_l_i_split_1`, ...
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from bicerin.errors import NetError
from bicerin_proto.hints import did_you_mean
from bicerin_proto.quotation import printable


def insert_splits(
    layers: Sequence[Any], locations: Sequence[str], left_out: Mapping[str, str] | None = None
) -> tuple[list[Any], list[str]]:
    """The layers with Split layers among them, and the locations of all.

    Args:
        layers: `LayerParameter`s; those that change are copied.
        locations: where each stands, for errors.
        left_out: blobs of layers that are not among these -> a sentence that says so.

    Raises:
        NetError: a bottom that no earlier layer produces.
    """
    # A blob is known by the layer and the top that wrote it last: in-place layers write a new version of the name.
    source_of: dict[tuple[int, int], tuple[int, int]] = {}
    latest: dict[str, tuple[int, int]] = {}
    readers: dict[tuple[int, int], int] = {}
    loss_weight: dict[tuple[int, int], float] = {}
    for index, layer in enumerate(layers):
        for position, name in enumerate(layer.bottom):
            if name not in latest:
                later = next((other.name for other in layers[index:] if name in other.top), None)
                known = {top for other in layers[:index] for top in other.top}
                why = (left_out or {}).get(name)
                raise NetError(unknown_bottom(layer, position, locations[index], known, later, why))
            source_of[index, position] = latest[name]
            readers[latest[name]] = readers.get(latest[name], 0) + 1
        for position, name in enumerate(layer.top):
            latest[name] = (index, position)
            if position < len(layer.loss_weight) and layer.loss_weight[position]:
                loss_weight[index, position] = layer.loss_weight[position]
                readers[index, position] = readers.get((index, position), 0) + 1

    result: list[Any] = []
    places: list[str] = []
    given_out: dict[tuple[int, int], int] = {}
    for index, layer in enumerate(layers):
        copy = type(layer)()
        copy.CopyFrom(layer)
        for position, name in enumerate(layer.bottom):
            source = source_of[index, position]
            if readers[source] > 1:
                number = given_out.get(source, 0)
                given_out[source] = number + 1
                copy.bottom[position] = f"{_split_name(name, layers[source[0]].name, source[1])}_{number}"
        result.append(copy)
        places.append(locations[index])
        for position, name in enumerate(layer.top):
            count = readers.get((index, position), 0)
            if count > 1:
                weight = loss_weight.get((index, position), 0.0)
                result.append(_split_layer(type(layer), name, layer.name, position, count, weight))
                places.append(locations[index])
                if weight:
                    # The weight has moved to the first of the split's tops.
                    copy.loss_weight[position] = 0.0
                    given_out[index, position] = 1
    return result, places


def _split_name(blob: str, layer: str, position: int) -> str:
    return f"{blob}_{layer}_{position}_split"


def _split_layer(message: Any, blob: str, layer: str, position: int, count: int, loss_weight: float) -> Any:
    name = _split_name(blob, layer, position)
    split = message(name=name, type="Split", bottom=[blob], top=[f"{name}_{number}" for number in range(count)])
    if loss_weight:
        split.loss_weight.extend([loss_weight] + [0.0] * (count - 1))
    return split


def unknown_bottom(
    layer: Any, position: int, location: str, known: Collection[str], later: str | None, left_out: str | None
) -> str:
    """What is said of a bottom that no layer before makes: who makes it, or what is close to it.

    Args:
        layer: a `LayerParameter`, whose bottom number `position` it is.
        location: where the layer stands.
        known: the blobs that the layers before make.
        later: a layer that makes it, but does not stand before; None where there is none.
        left_out: a sentence on the layers that make it and are not in the net; None where there are none.
    """
    name = layer.bottom[position]
    reader = f"layer '{printable(layer.name)}', bottom index {position}"
    message = f"{location}: Unknown bottom blob '{printable(name)}' ({reader})."
    if later is not None:
        later = printable(later)
        return f'{message} Layer "{later}" produces it, but comes later; a layer stands after those that it reads.'
    if left_out is not None:
        return f"{message} {left_out}"
    if hint := did_you_mean(name, known, most=3):
        return f"{message} {hint}"
    return f"{message} The blobs made before it: {', '.join(sorted(known)) or 'none'}."
