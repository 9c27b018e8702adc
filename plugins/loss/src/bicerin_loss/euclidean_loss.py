"""EuclideanLoss: Σ (a - b)² / (2 N) over all elements of bottoms a and b of shape (N, ...); top shape ().

Both bottoms have a gradient.

Source: Caffe's `EuclideanLossLayer`.
"""

from __future__ import annotations

from collections.abc import Sequence

from bicerin.errors import ShapeError
from bicerin.layer import Blob, LossLayer


class EuclideanLossLayer(LossLayer):
    """∂L/∂a = (a - b) / N = -∂L/∂b."""

    type = "EuclideanLoss"

    def layer_set_up(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        self.difference = self.new_blob(name="difference")

    def allow_force_backward(self, bottom_index: int) -> bool:
        return True

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        super().reshape(bottom, top)
        if bottom[0].count_between(1) != bottom[1].count_between(1):
            raise ShapeError(
                f"Inputs must have the same dimension: {bottom[0].count_between(1)} against "
                f"{bottom[1].count_between(1)} elements per image."
            )
        self.difference.reshape_like(bottom[0])
        self.number = max(1, bottom[0].count_between(0, 1))

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        xp = self.xp
        difference = self.difference.data
        xp.subtract(bottom[0].data, bottom[1].data.reshape(difference.shape), out=difference)
        flat = difference.reshape(-1)
        top[0].data[...] = xp.dot(flat, flat) / self.number / 2

    def backward(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        xp = self.xp
        scale = self.loss_gradient(top) / self.number
        for index, sign in ((0, 1), (1, -1)):
            if propagate_down[index]:
                diff = bottom[index].diff
                xp.multiply(self.difference.data.reshape(diff.shape), sign * scale, out=diff)
