"""A net's `bn_stats_batch_size`, of Intel's fork, is what all of its BatchNorm layers have as `stats_batch_size`.

That fork writes it into the layers when it makes the net, over what they have themselves. Both fields are a plugin's.
"""

from __future__ import annotations

from typing import Any

from bicerin_proto.upgrade.counted import counted

_NET, _LAYER = "bn_stats_batch_size", "stats_batch_size"


def needs_upgrade(net: Any) -> bool:
    """Tell whether the net has the field, and its BatchNorm layers can take it."""
    return _NET in net.DESCRIPTOR.fields_by_name and net.HasField(_NET) and _can_take(net)


def upgrade(net: Any) -> list[str]:
    """Write it into the layers, in place. Return what was done."""
    size = getattr(net, _NET)
    layers = [layer for layer in net.layer if layer.type == "BatchNorm"]
    for layer in layers:
        setattr(layer.batch_norm_param, _LAYER, size)
    net.ClearField(_NET)
    return [f"{_NET}: {size} to {counted(len(layers), 'BatchNorm layer')}"]


def _can_take(net: Any) -> bool:
    layer = net.DESCRIPTOR.fields_by_name["layer"].message_type
    return _LAYER in layer.fields_by_name["batch_norm_param"].message_type.fields_by_name
