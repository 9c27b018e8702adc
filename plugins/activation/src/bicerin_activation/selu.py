"""SeLu: y = lambda · x where x > 0, lambda · alpha · (exp(x) - 1) elsewhere.

Bottom and top have any shape, the same.

Source: Klambauer et al., "Self-normalizing neural networks", 2017; jolibrain's `SeLuLayer`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bicerin.layer import Blob, NeuronLayer, Operations, ReadsTops, Spares, TopValues


class SeLuLayer(ReadsTops, Spares, NeuronLayer):
    """Where x is not positive dy/dx = y + lambda · alpha. In place the sign of y stands for x's."""

    type = "SeLu"
    operations = Operations("selu_kernels")

    def layer_set_up(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        param = self.param.selu_param
        self.scale: float = getattr(param, "lambda")
        self.negative: float = self.scale * param.alpha

    def reads_in_tops(self) -> TopValues:
        return TopValues.ELEMENTS

    def spares(self) -> TopValues:
        return TopValues.SIGNS if self.scale > 0 and self.negative >= 0 else TopValues.NONE

    def activate(self, x: Any, y: Any) -> None:
        self.ops.forward(x.reshape(-1), self.scale, self.negative, y.reshape(-1))

    def gradient(self, x: Any, y: Any, y_diff: Any, x_diff: Any) -> None:
        flat = (array.reshape(-1) for array in (y_diff, x_diff))
        self.ops.backward(x.reshape(-1), y.reshape(-1), self.scale, self.negative, *flat)
