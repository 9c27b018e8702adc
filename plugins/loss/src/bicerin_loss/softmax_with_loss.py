"""SoftmaxWithLoss: -log p, where p is the softmax that bottom 0 gives to the class of the label.

Bottoms, tops, `ignore_label` and `normalization` as in `probability_loss_layer`; the classes are along
`softmax_param.axis`, by default 1. p is taken to be at least FLT_MIN, so the loss of one label is at most 87.3.

Source: Caffe's `SoftmaxWithLossLayer`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from bicerin.layer import Blob, BlobCounts, between
from bicerin_loss.probability_loss_layer import ProbabilityLossLayer

FLT_MIN = float(np.finfo(np.float32).tiny)


class SoftmaxWithLossLayer(ProbabilityLossLayer):
    """The gradient with respect to the scores is the softmax, less 1 at the label's class."""

    type = "SoftmaxWithLoss"
    counts = BlobCounts(bottom=2, top=between(1, 2), auto_top=True)
    axis_name = "softmax"

    @property
    def class_axis(self) -> int:
        axis: int = self.param.softmax_param.axis
        return axis

    def total_loss(self, bottom: Sequence[Blob], probability: Any) -> Any:
        return self.ops.logarithm_loss(probability, self.labels, FLT_MIN)

    def gradient(self, bottom: Sequence[Blob], probability: Any, scale: Any, diff: Any) -> None:
        self.ops.logarithm_loss_backward(probability, self.labels, scale, diff)
