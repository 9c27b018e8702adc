"""SoftmaxWithLoss: -log p, where p is the softmax that bottom 0 gives to the class of the label.

Bottoms, tops, `ignore_label` and `normalization` as in `probability_loss_layer`; the classes are along
`softmax_param.axis`, by default 1. p is taken to be at least FLT_MIN, so the loss of one label is at most 87.3.

Source: Caffe's `SoftmaxWithLossLayer`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from bicerin.errors import ShapeError
from bicerin.layer import Blob, BlobCounts, between
from bicerin_loss.probability_loss_layer import ProbabilityLossLayer

FLT_MIN = float(np.finfo(np.float32).tiny)


class SoftmaxWithLossLayer(ProbabilityLossLayer):
    """The gradient with respect to the scores is the softmax, less 1 at the label's class.

    With `weight_by_label_freqs` both are multiplied by the `class_weighting` of the label, one number a class; what
    they are divided by does not know the weights, as in SegNet's fork.
    """

    type = "SoftmaxWithLoss"
    counts = BlobCounts(bottom=2, top=between(1, 2), auto_top=True)
    axis_name = "softmax"

    @property
    def class_axis(self) -> int:
        axis: int = self.param.softmax_param.axis
        return axis

    def layer_set_up(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        super().layer_set_up(bottom, top)
        param = self.param.loss_param
        #: Of each class; None for 1.
        self.weights: Any = None
        if param.weight_by_label_freqs:
            self.weights = self.xp.asarray(np.array(param.class_weighting, self.dtype))

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        super().reshape(bottom, top)
        if self.weights is not None and len(self.weights) != self.columns[1]:
            raise ShapeError(
                f"weight_by_label_freqs needs a class_weighting for each of the {self.columns[1]} classes; there are "
                f"{len(self.weights)}."
            )

    def total_loss(self, bottom: Sequence[Blob], probability: Any) -> Any:
        if self.weights is not None:
            xp = self.xp
            labels = xp.maximum(self.labels, 0)
            chosen = xp.take_along_axis(probability, labels[:, None, :], axis=1)[:, 0, :]
            losses = self.weights[labels] * xp.log(xp.maximum(chosen, FLT_MIN))
            return -xp.where(self.labels >= 0, losses, 0).sum(dtype=np.float64)
        return self.ops.logarithm_loss(probability, self.labels, FLT_MIN)

    def gradient(self, bottom: Sequence[Blob], probability: Any, scale: Any, diff: Any) -> None:
        self.ops.logarithm_loss_backward(probability, self.labels, scale, diff)
        if self.weights is not None:
            diff *= self.weights[self.labels][:, None, :]  # where a label is ignored, diff is 0
