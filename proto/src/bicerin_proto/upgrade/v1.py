"""From the second format of layers, `layers { type: CONVOLUTION }`, to today's, `layer { type: "Convolution" }`.

Types become strings, and what stood in parallel lists for the parameter blobs (`param`, `blob_share_mode`, `blobs_lr`,
`weight_decay`) becomes one ParamSpec per blob. Everything else has the same name and message in both.
"""

from __future__ import annotations

from typing import Any

from google.protobuf.message import Message

from bicerin_proto.layer_types import v1_layer_type
from bicerin_proto.places import NetPlaces, error_at
from bicerin_proto.quotation import printable
from bicerin_proto.tokens import Place
from bicerin_proto.upgrade.counted import counted


def needs_upgrade(net: Any) -> bool:
    """Tell whether a net has layers in the second format."""
    return bool(net.layers)


def upgrade(net: Any, places: NetPlaces) -> list[str]:
    """Rewrite such layers in today's format, in place. Return what was done.

    Raises:
        ProtoError: the net has layers of both formats, or a layer's type is unknown.
    """
    if net.layer:
        raise error_at(
            places.layers[0],
            f"the net mixes {len(net.layers)} `layers` of the old format with {len(net.layer)} `layer` of today's; "
            "Caffe reads only one of them: write all in one format",
        )
    for layer, place in zip(net.layers, places.layers, strict=True):
        _upgrade_layer(layer, net.layer.add(), place)
    done = [f"{counted(len(net.layers), 'V1 layer')} to V2"]
    net.ClearField("layers")
    places.layer, places.layers = places.layers, []
    return done


def _upgrade_layer(old: Any, new: Any, place: Place | None) -> None:
    for field, value in old.ListFields():
        if field.name in _SPECS:
            _SPECS[field.name](old, new)
        elif field.name in new.DESCRIPTOR.fields_by_name:
            _copy(new, field.name, value)
        else:
            what = f'layer "{printable(old.name)}": "{field.name}"'
            raise error_at(place, f"{what} is a field of V1 layers only, and cannot be upgraded")


def _copy(new: Any, name: str, value: Any) -> None:
    if isinstance(value, Message):
        getattr(new, name).CopyFrom(value)
    elif hasattr(value, "extend"):
        getattr(new, name).extend(value)
    else:
        setattr(new, name, value)


def _spec(new: Any, index: int) -> Any:
    while len(new.param) <= index:
        new.param.add()
    return new.param[index]


def _set_type(old: Any, new: Any) -> None:
    new.type = v1_layer_type(type(old).LayerType.DESCRIPTOR.values_by_number[old.type])


def _set_names(old: Any, new: Any) -> None:
    for index, name in enumerate(old.param):
        _spec(new, index).name = name


def _set_share_modes(old: Any, new: Any) -> None:
    for index, mode in enumerate(old.blob_share_mode):
        spec = _spec(new, index)
        spec.share_mode = spec.DimCheckMode.Value(type(old).DimCheckMode.Name(mode))


def _set_lr_mults(old: Any, new: Any) -> None:
    for index, rate in enumerate(old.blobs_lr):
        _spec(new, index).lr_mult = rate


def _set_decay_mults(old: Any, new: Any) -> None:
    for index, decay in enumerate(old.weight_decay):
        _spec(new, index).decay_mult = decay


_SPECS = {
    "type": _set_type,
    "param": _set_names,
    "blob_share_mode": _set_share_modes,
    "blobs_lr": _set_lr_mults,
    "weight_decay": _set_decay_mults,
}
