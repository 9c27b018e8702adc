"""What the losses of R-FCN are divided by: Caffe's modes, and one number for all batches."""

from __future__ import annotations

from typing import Any

from bicerin.layer import enum_name, normalization_mode, normalizer


def loss_divisor(xp: Any, loss_param: Any, outer: int, inner: int, valid: Any) -> Any:
    """At least 1. `PRE_FIXED` is `pre_fixed_normalizer`; the other modes as in `bicerin.layer.loss_layer`.

    Args:
        valid: how many labels count; a scalar array where they have been counted on a device.
    """
    if loss_param.HasField("normalization"):
        mode = enum_name(loss_param, "normalization", ("FULL", "VALID", "BATCH_SIZE", "NONE", "PRE_FIXED"))
        if mode == "PRE_FIXED":
            return max(1.0, loss_param.pre_fixed_normalizer)
    mode = normalization_mode(loss_param)
    if mode == "VALID" and not isinstance(valid, int):
        return xp.maximum(valid, 1)
    return normalizer(mode, outer, inner, 0 if mode != "VALID" else valid)
