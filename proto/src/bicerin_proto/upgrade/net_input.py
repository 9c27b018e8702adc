"""From `input: "data" input_dim: 1 ...` at the head of a net to an Input layer.

Inputs without any shape have no effect in Caffe, and are dropped: layers make the blobs of their names. Where no layer
does, the net says so about the layer that reads the blob.
"""

from __future__ import annotations

from typing import Any

from bicerin_proto.places import NetPlaces, error_at
from bicerin_proto.quotation import printable
from bicerin_proto.tokens import Place
from bicerin_proto.upgrade.counted import counted

_LEGACY_AXES = 4


def needs_upgrade(net: Any) -> bool:
    """Tell whether a net has input fields."""
    return bool(net.input or net.input_dim or net.input_shape)


def upgrade(net: Any, places: NetPlaces) -> list[str]:
    """Put one Input layer with a top for each input before all other layers, in place. Return what was done.

    Raises:
        ProtoError: some inputs have a shape and others have none, or there are more shapes than inputs.
    """
    if not (net.input_shape or net.input_dim):
        done = f"without input fields that have no shape ({_names(net)})"
    elif not net.input:
        done = "without input_dim and input_shape that belong to no input"
    else:
        _put_layer(net, places, _shapes(net, places.input[0]))
        done = f"{counted(len(net.input), 'input field')} to an Input layer"
    for name in ("input", "input_dim", "input_shape"):
        net.ClearField(name)
    places.input = []
    return [done]


def _put_layer(net: Any, places: NetPlaces, shapes: list[list[int]]) -> None:
    layer = type(net)().layer.add()
    layer.name, layer.type = "input", "Input"
    layer.top.extend(net.input)
    for dims in shapes:
        layer.input_param.shape.add().dim.extend(dims)
    following = list(net.layer)
    net.ClearField("layer")
    net.layer.append(layer)
    net.layer.extend(following)
    places.layer.insert(0, places.input[0])


def _shapes(net: Any, place: Place | None) -> list[list[int]]:
    """Return the shape of each input."""
    what = f"the net has {len(net.input)} input ({_names(net)})"
    if net.input_shape and net.input_dim:
        raise error_at(place, "the net gives both input_shape and input_dim for its inputs; remove one of them")
    if net.input_shape:
        if len(net.input_shape) != len(net.input):
            raise error_at(place, f"{what} but {len(net.input_shape)} input_shape; each input needs one")
        return [list(shape.dim) for shape in net.input_shape]
    if len(net.input_dim) != _LEGACY_AXES * len(net.input):
        raise error_at(
            place,
            f"{what} but {len(net.input_dim)} input_dim; each input needs {_LEGACY_AXES} input_dim, or one input_shape",
        )
    return [list(net.input_dim[at : at + _LEGACY_AXES]) for at in range(0, len(net.input_dim), _LEGACY_AXES)]


def _names(net: Any) -> str:
    return printable(", ".join(net.input))
