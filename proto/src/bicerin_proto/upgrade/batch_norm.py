"""BatchNorm's three blobs are statistics, not weights: no solver may train them.

Older nets had to say so with three `param { lr_mult: 0 }`. Now the layer itself does, and such specs are dropped.
"""

from __future__ import annotations

from typing import Any

_BLOBS = 3


def needs_upgrade(net: Any) -> bool:
    """Tell whether a BatchNorm layer has a ParamSpec for each of its three blobs."""
    return any(_is_old(layer) for layer in net.layer)


def upgrade(net: Any) -> list[str]:
    """Drop those specs, in place. Return what was done."""
    count = 0
    for layer in net.layer:
        if _is_old(layer):
            layer.ClearField("param")
            count += 1
    return [f"{count} BatchNorm layers to statistics that are never trained"]


def _is_old(layer: Any) -> bool:
    return layer.type == "BatchNorm" and len(layer.param) == _BLOBS
