"""Scale, mean, crop and mirror once belonged to each data layer; now all of them have `transform_param`.

Caffe does this for layers of the second format only. In today's format it ignores the old fields, and so do we.
"""

from __future__ import annotations

from typing import Any

from bicerin_proto.quotation import printable
from bicerin_proto.upgrade.counted import counted

_PARAMETERS = {"DATA": "data_param", "IMAGE_DATA": "image_data_param", "WINDOW_DATA": "window_data_param"}
_MOVED = ("scale", "mean_file", "crop_size", "mirror")


def needs_upgrade(net: Any) -> bool:
    """Tell whether a V1 data layer transforms its images with fields of its own."""
    return any(_old_fields(layer) for layer in net.layers)


def upgrade(net: Any) -> list[str]:
    """Move the fields to `transform_param`, in place. Return what was done."""
    count = 0
    for layer in net.layers:
        for name in _old_fields(layer):
            parameter = getattr(layer, _PARAMETERS[type(layer).LayerType.Name(layer.type)])
            setattr(layer.transform_param, name, getattr(parameter, name))
            parameter.ClearField(name)
            count += 1
    return [f"{counted(count, 'transformation field')} to transform_param"]


def ignored_fields(net: Any) -> list[str]:
    """Return the old fields in layers of today's format, where they have no effect."""
    return [
        f'{parameter}.{name} of layer "{printable(layer.name)}"'
        for layer in net.layer
        for parameter in _PARAMETERS.values()
        if layer.HasField(parameter)
        for name in _MOVED
        if getattr(layer, parameter).HasField(name)
    ]


def _old_fields(layer: Any) -> list[str]:
    parameter = _PARAMETERS.get(type(layer).LayerType.Name(layer.type))
    if parameter is None:
        return []
    return [name for name in _MOVED if getattr(layer, parameter).HasField(name)]
