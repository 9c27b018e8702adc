"""MultinomialLogisticLoss: the mean over a batch of -log p, p the probability that bottom 0 gives to the label.

- bottom 0: probabilities, shape (N, ...), C elements per image, one for each class.
- bottom 1: labels 0 to C - 1, shape (N,) or (N, 1, 1, 1).
- top: the loss, shape ().

p is taken to be at least 1e-20.

Source: Caffe's `MultinomialLogisticLossLayer`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from bicerin.layer import Blob, ChecksInputs, LossLayer, Operations, refuse_label_gradient
from bicerin_loss.label_kernels import host_labels
from bicerin_loss.labels import require_one_label_per_image

LOG_THRESHOLD = 1e-20


class MultinomialLogisticLossLayer(ChecksInputs, LossLayer):
    """The gradient is -1 / (N · p) at the label's class, 0 elsewhere."""

    type = "MultinomialLogisticLoss"
    operations = Operations("label_kernels")

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        super().reshape(bottom, top)
        require_one_label_per_image(bottom[1])
        self.rows = (bottom[1].count, bottom[0].count_between(1))

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        xp = self.xp
        number, classes = self.rows
        labels, valid = self.ops.class_labels(bottom[1].data, classes)
        self.labels = labels.reshape(number)
        loss = -xp.log(self._chosen(xp, bottom)).sum(dtype=np.float64) / max(1, number)
        # A device counts NaN where a label is wrong.
        top[0].data[...] = loss + 0 * valid

    def backward(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        xp = self.xp
        refuse_label_gradient(self.type, propagate_down[1])
        if propagate_down[0]:
            scale = -self.loss_gradient(top) / max(1, self.rows[0])
            diff = bottom[0].diff.reshape(self.rows)
            diff[...] = 0
            diff[xp.arange(self.rows[0]), self.labels] = scale / self._chosen(xp, bottom)

    def check_inputs(self, bottom: Sequence[Blob]) -> None:
        host_labels(bottom[1].data, self.rows[1])

    def _chosen(self, xp: Any, bottom: Sequence[Any]) -> Any:
        """The probability of each label, shape (N,)."""
        return xp.maximum(bottom[0].data.reshape(self.rows)[xp.arange(self.rows[0]), self.labels], LOG_THRESHOLD)
