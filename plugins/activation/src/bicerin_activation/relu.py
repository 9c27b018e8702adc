"""ReLU: y = max(x, 0) + negative_slope · min(x, 0).

Bottom and top have any shape, the same. `engine` is accepted and changes nothing.

Source: Nair and Hinton, "Rectified linear units improve restricted Boltzmann machines", 2010; Caffe's `ReLULayer`.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from bicerin.kernels import Affine
from bicerin.layer import ActsAffinely, Blob, NeuronLayer, Operations, ReadsTops, Spares, TopValues


class ReLULayer(ActsAffinely, ReadsTops, Spares, NeuronLayer):
    """In place the gradient reads the sign of y, which is x's where the slope is not negative."""

    type = "ReLU"
    operations = Operations("relu_kernels")

    def layer_set_up(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        self.negative_slope: float = self.param.relu_param.negative_slope

    def affine(self) -> Affine:
        return _rectifier(self.negative_slope)

    def reads_in_tops(self) -> TopValues:
        return TopValues.SIGNS if self.in_place else TopValues.NONE

    def spares(self) -> TopValues:
        if self.negative_slope == 0:
            return TopValues.ELEMENTS
        return TopValues.SIGNS if self.negative_slope > 0 else TopValues.NONE

    def activate(self, x: Any, y: Any) -> None:
        self.ops.forward(x.reshape(-1), self.negative_slope, y.reshape(-1))

    def gradient(self, x: Any, y: Any, y_diff: Any, x_diff: Any) -> None:
        self.ops.backward(x.reshape(-1), self.negative_slope, y_diff.reshape(-1), x_diff.reshape(-1))


@lru_cache(typed=True)
def _rectifier(slope: float) -> Affine:
    """One object for one slope, so that who asks in every pass sees at once that it is the same."""
    return Affine(negative_slope=slope)
