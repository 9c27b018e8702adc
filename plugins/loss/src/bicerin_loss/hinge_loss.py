"""HingeLoss: Σ max(0, 1 - t · x) ^ p / N, where t is 1 for the class of the label and -1 for the others.

- bottom 0: scores x, shape (N, ...), C elements per image, one for each class.
- bottom 1: labels 0 to C - 1, shape (N,) or (N, 1, 1, 1).
- top: the loss, shape ().

`norm` L1 is p = 1, L2 is p = 2.

Source: Caffe's `HingeLossLayer`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from bicerin.layer import Blob, ChecksInputs, LossLayer, Operations, refuse_label_gradient
from bicerin_loss.label_kernels import host_labels
from bicerin_loss.labels import require_one_label_per_image


class HingeLossLayer(ChecksInputs, LossLayer):
    """With the margin m = max(0, 1 - t · x), the gradient is -t · (1 where m > 0) / N, or -t · 2 m / N for L2."""

    type = "HingeLoss"
    operations = Operations("label_kernels")

    def layer_set_up(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        param = self.param.hinge_loss_param
        self.squared: bool = param.norm == param.L2
        self.margin = self.new_blob(name="margin")

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        super().reshape(bottom, top)
        require_one_label_per_image(bottom[1])
        self.margin.reshape(bottom[1].count, bottom[0].count_between(1))
        self.number = max(1, bottom[1].count)

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        xp = self.xp
        margin = self.margin.data
        labels, valid = self.ops.class_labels(bottom[1].data, margin.shape[1])
        self.labels = labels.reshape(-1)
        margin[...] = bottom[0].data.reshape(margin.shape)
        self._negate_labels(xp, margin)
        margin += 1
        xp.maximum(margin, 0, out=margin)
        total = xp.vdot(margin, margin) if self.squared else margin.sum(dtype=np.float64)
        # A device counts NaN where a label is wrong.
        top[0].data[...] = total / self.number + 0 * valid

    def backward(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        xp = self.xp
        refuse_label_gradient(self.type, propagate_down[1])
        if not propagate_down[0]:
            return
        margin = self.margin.data
        diff = bottom[0].diff.reshape(margin.shape)
        scale = self.loss_gradient(top) / self.number
        if self.squared:
            xp.multiply(margin, 2 * scale, out=diff)
        else:
            xp.multiply(xp.sign(margin), scale, out=diff)
        self._negate_labels(xp, diff)

    def check_inputs(self, bottom: Sequence[Blob]) -> None:
        host_labels(bottom[1].data, self.margin.shape[1])

    def _negate_labels(self, xp: Any, rows: Any) -> None:
        rows[xp.arange(len(self.labels)), self.labels] *= -1
