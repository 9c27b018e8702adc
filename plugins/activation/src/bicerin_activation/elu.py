"""ELU: y = x where x > 0, alpha · (exp(x) - 1) elsewhere.

Bottom and top have any shape, the same.

Source: Clevert et al., "Fast and accurate deep network learning by exponential linear units", 2015; Caffe's `ELULayer`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bicerin.layer import Blob, NeuronLayer, Operations, ReadsTops, Spares, TopValues


class ELULayer(ReadsTops, Spares, NeuronLayer):
    """Where x is not positive dy/dx = y + alpha. In place the sign of y stands for x's, right for alpha ≥ 0."""

    type = "ELU"
    operations = Operations("elu_kernels")

    def layer_set_up(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        self.alpha: float = self.param.elu_param.alpha

    def reads_in_tops(self) -> TopValues:
        return TopValues.ELEMENTS

    def spares(self) -> TopValues:
        return TopValues.SIGNS if self.alpha >= 0 else TopValues.NONE

    def activate(self, x: Any, y: Any) -> None:
        self.ops.forward(x.reshape(-1), self.alpha, y.reshape(-1))

    def gradient(self, x: Any, y: Any, y_diff: Any, x_diff: Any) -> None:
        self.ops.backward(x.reshape(-1), y.reshape(-1), self.alpha, y_diff.reshape(-1), x_diff.reshape(-1))
