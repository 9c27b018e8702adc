"""What the losses of R-FCN are divided by: Caffe's modes, and one number for all batches."""

from __future__ import annotations

from typing import Any

from bicerin.loss_layer import normalization_mode, normalizer
from bicerin.option import enum_name


def loss_divisor(loss_param: Any, outer: int, inner: int, valid: int) -> float:
    """At least 1. `PRE_FIXED` is `pre_fixed_normalizer`; the other modes as in `bicerin.loss_layer`."""
    if loss_param.HasField("normalization"):
        mode = enum_name(loss_param, "normalization", ("FULL", "VALID", "BATCH_SIZE", "NONE", "PRE_FIXED"))
        if mode == "PRE_FIXED":
            return max(1.0, loss_param.pre_fixed_normalizer)
    return normalizer(normalization_mode(loss_param), outer, inner, valid)
