"""SigmoidCrossEntropyLoss: -Σ (t · log s + (1 - t) · log(1 - s)), with s = sigmoid(x), computed without overflow.

- bottom 0: scores x, shape (N, ...).
- bottom 1: targets t from 0 to 1, as many, with the same first axis.
- bottom 2, optional: a weight for each term, as many; it has no gradient.
- top: the loss, shape ().

A target whose integer part is `ignore_label` does not count. The sum is divided as `normalization` says; its default is
BATCH_SIZE here. With weights it is divided by the sum of those that count, and is 0 where that is not positive.

Source: Caffe's `SigmoidCrossEntropyLossLayer`; MNC's for the weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from bicerin.errors import ShapeError
from bicerin.layer import Blob, BlobCounts, LossLayer, between, normalization_mode, refuse_label_gradient
from bicerin_loss.labels import divisor, ignore_label


class SigmoidCrossEntropyLossLayer(LossLayer):
    """The gradient with respect to x is s - t, times the weight, 0 where ignored, divided alike."""

    type = "SigmoidCrossEntropyLoss"
    counts = BlobCounts(bottom=between(2, 3), top=1, auto_top=True)

    def layer_set_up(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        self.ignore_label = ignore_label(self.param.loss_param)
        #: Whether some targets may not count.
        self.skips = self.ignore_label is not None
        self.normalization = normalization_mode(self.param.loss_param, default="BATCH_SIZE")

    def allow_force_backward(self, bottom_index: int) -> bool:
        return bottom_index == 0

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        super().reshape(bottom, top)
        if bottom[0].count != bottom[1].count:
            raise ShapeError(
                "SIGMOID_CROSS_ENTROPY_LOSS layer inputs must have the same count: "
                f"{bottom[0].count} against {bottom[1].count}."
            )
        if len(bottom) > 2 and bottom[2].count != bottom[0].count:
            raise ShapeError(f"there must be a weight for each of the {bottom[0].count} terms: {bottom[2].count}.")
        self.outer, self.inner = bottom[0].count_between(0, 1), bottom[0].count_between(1)

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        xp = self.xp
        x, target = bottom[0].data.reshape(-1), bottom[1].data.reshape(-1)
        losses = x * ((x >= 0) - target) + xp.log1p(xp.exp(-xp.absolute(x)))
        valid_count: Any = x.size
        if self.skips:
            valid = self._valid(xp, target)
            valid_count = valid.sum()
            losses = xp.where(valid, losses, 0)
        self.divisor = divisor(xp, self.normalization, self.outer, self.inner, valid_count)
        if len(bottom) > 2:
            weights = bottom[2].data.reshape(-1)
            losses = losses * weights
            total = (weights if not self.skips else weights * valid).sum(dtype=np.float64)
            self.divisor = xp.where(total > 0, total, np.inf)
        top[0].data[...] = losses.sum(dtype=np.float64) / self.divisor

    def backward(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        xp = self.xp
        refuse_label_gradient(self.type, propagate_down[1])
        if not propagate_down[0]:
            return
        x, target, diff = (array.reshape(-1) for array in (bottom[0].data, bottom[1].data, bottom[0].diff))
        xp.tanh(x * 0.5, out=diff)
        diff *= 0.5
        diff += 0.5
        diff -= target
        if len(bottom) > 2:
            diff *= bottom[2].data.reshape(-1)
        diff *= self.loss_gradient(top) / self.divisor
        if self.skips:
            xp.copyto(diff, 0, where=~self._valid(xp, target))

    def _valid(self, xp: Any, target: Any) -> Any:
        return xp.trunc(target) != self.ignore_label
