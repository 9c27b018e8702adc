"""EuclideanLoss: Σ (a - b)² / (2 N) over all elements of bottoms a and b of shape (N, ...); top shape ().

Both bottoms have a gradient.

Source: Caffe's `EuclideanLossLayer`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bicerin.errors import ShapeError
from bicerin.layer import ArrayLayer, Blob, LossLayer, top_gradient


class EuclideanLossLayer(ArrayLayer, LossLayer):
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
                f"{bottom[1].count_between(1)} elements an image."
            )
        self.difference.reshape_like(bottom[0])
        self.number = max(1, bottom[0].count_between(0, 1))

    def forward_array(self, xp: Any, bottom: Sequence[Any], top: Sequence[Any]) -> None:
        difference = self.array(self.difference)
        xp.subtract(bottom[0].data, bottom[1].data.reshape(difference.shape), out=difference)
        flat = difference.reshape(-1)
        top[0].data[...] = xp.dot(flat, flat) / self.number / 2

    def backward_array(
        self, xp: Any, top: Sequence[Any], propagate_down: Sequence[bool], bottom: Sequence[Any]
    ) -> None:
        scale = top_gradient(xp, top) / self.number
        for index, sign in ((0, 1), (1, -1)):
            if propagate_down[index]:
                diff = bottom[index].diff
                xp.multiply(self.array(self.difference).reshape(diff.shape), sign * scale, out=diff)
