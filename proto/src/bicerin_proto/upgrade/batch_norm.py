"""BatchNorm's three blobs are statistics, not weights: no solver may train them.

Older nets had to say so with three `param { lr_mult: 0 }`. Now the layer itself does, and the two multipliers of such
specs are set to zero. Their names stay: layers share their statistics by them.
"""

from __future__ import annotations

from typing import Any

from bicerin_proto.upgrade.counted import counted

_BLOBS = 3


def needs_upgrade(net: Any) -> bool:
    """Tell whether a BatchNorm layer has a ParamSpec for each of its three blobs, one of which would be trained."""
    return any(_is_old(layer) for layer in net.layer)


def upgrade(net: Any) -> list[str]:
    """Set the multipliers of those specs to zero, in place. Return what was done."""
    count = 0
    for layer in net.layer:
        if _is_old(layer):
            for spec in layer.param:
                spec.lr_mult = spec.decay_mult = 0
            count += 1
    return [f"{counted(count, 'BatchNorm layer')} to statistics that are never trained"]


def _is_old(layer: Any) -> bool:
    if layer.type != "BatchNorm" or len(layer.param) != _BLOBS:
        return False
    return any(spec.lr_mult or spec.decay_mult for spec in layer.param)
