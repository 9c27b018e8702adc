"""What loss layers have in common: a weight of 1, a label that takes no gradient, and Caffe's normalization modes.

Source: Caffe's `LossLayer` and `LossParameter`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from bicerin.errors import LayerError, ShapeError
from bicerin.layer.blob import Blob
from bicerin.layer.counts import BlobCounts
from bicerin.layer.layer import Layer
from bicerin.layer.option import enum_name


class LossLayer(Layer):
    """A layer whose first top is a scalar loss of predictions (bottom 0) against labels (bottom 1).

    Its top is made where the prototxt names none, and its loss weight is 1 where the prototxt gives none.
    """

    counts = BlobCounts(bottom=2, top=1, auto_top=True)
    allows_in_place = False

    def allow_force_backward(self, bottom_index: int) -> bool:
        return bottom_index != 1

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        """The loss is a scalar, shape `()`; predictions and labels must agree in their first axis."""
        self.require_same_batch(bottom)
        top[0].reshape()

    def loss_gradient(self, top: Sequence[Blob]) -> Any:
        """The gradient of the loss, mostly its weight: a number, or on a device, to save a copy, an array."""
        diff = top[0].diff
        return float(diff) if self.xp is np else diff

    @staticmethod
    def require_same_batch(bottom: Sequence[Blob]) -> None:
        data, label = (blob.shape[:1] for blob in bottom[:2])
        if data != label or not data:
            raise ShapeError(
                f"The data and label should have the same first dimension: {data} against {label}.",
                None if data and label else "A scalar, of shape (), has no batch.",
            )


def refuse_label_gradient(layer_type: str, wanted: bool) -> None:
    """Raise a `LayerError` where a gradient with respect to labels is wanted, as their `propagate_down` says."""
    if wanted:
        raise LayerError(f"{layer_type} Layer cannot backpropagate to label inputs.")


def normalization_mode(loss_param: Any, default: str = "VALID") -> str:
    """The mode: FULL, VALID, BATCH_SIZE or NONE. The deprecated `normalize` counts where it stands alone."""
    if loss_param.HasField("normalization"):
        return enum_name(loss_param, "normalization", ("FULL", "VALID", "BATCH_SIZE", "NONE"))
    if loss_param.HasField("normalize"):
        return "VALID" if loss_param.normalize else "BATCH_SIZE"
    return default


def normalizer(mode: str, outer: int, inner: int, valid: int) -> float:
    """What a summed loss is divided by; never less than 1, so that a batch without valid labels does not divide by 0.

    Args:
        mode: FULL (all `outer * inner` labels), VALID (`valid` of them), BATCH_SIZE (`outer`) or NONE (1).
    """
    return float(max(1, {"FULL": outer * inner, "VALID": valid, "BATCH_SIZE": outer, "NONE": 1}[mode]))
