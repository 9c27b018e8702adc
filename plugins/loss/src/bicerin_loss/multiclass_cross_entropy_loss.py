"""MulticlassCrossEntropyLoss: -Σ (t · log p + (1 - t) · log(1 - p)) / N, p a probability for each of C classes.

- bottom 0: probabilities p, shape (N, C).
- bottom 1: targets t from 0 to 1, the same number, first axis N.
- top: the loss, shape ().

p and 1 - p are taken to be at least 1e-7.

Source: the `MulticlassCrossEntropyLossLayer` of OICR (Tang et al., "Multiple instance detection network with online
instance classifier refinement", 2017). As there, the gradient is that of the loss divided by C, which learning rates of
its nets are made for.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bicerin.errors import ShapeError
from bicerin.layer import Blob, LossLayer, refuse_label_gradient

LEAST = 1e-7


class MulticlassCrossEntropyLossLayer(LossLayer):
    """The gradient is (p - t) / (p (1 - p) · C · N)."""

    type = "MulticlassCrossEntropyLoss"

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        super().reshape(bottom, top)
        if bottom[0].count != bottom[1].count:
            raise ShapeError(f"there must be a target for each of the {bottom[0].count} values: {bottom[1].count}.")
        self.rows = (bottom[0].shape[0], bottom[0].count_between(1))

    def _values(self, bottom: Sequence[Blob]) -> tuple[Any, Any, Any]:
        """p and 1 - p, both at least `LEAST`, and t."""
        xp = self.xp
        p, target = (blob.data.reshape(self.rows) for blob in bottom)
        return xp.maximum(p, LEAST), xp.maximum(1 - p, LEAST), target

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        xp = self.xp
        p, rest, target = self._values(bottom)
        losses = target * xp.log(p) + (1 - target) * xp.log(rest)
        top[0].data[...] = -losses.sum(dtype="float64") / max(1, self.rows[0])

    def backward(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        refuse_label_gradient(self.type, propagate_down[1])
        if propagate_down[0]:
            p, rest, target = self._values(bottom)
            scale = self.loss_gradient(top) / max(1, self.rows[0] * self.rows[1])
            bottom[0].diff.reshape(self.rows)[...] = (p - target) / (p * rest) * scale
