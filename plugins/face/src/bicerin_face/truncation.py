"""Truncation: y = lower_bound where x is less, upper_bound where x is more, x between them.

Bottom and top have any shape, the same.

Source: the TruncationLayer of happynear/caffe-windows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bicerin.errors import LayerError
from bicerin.layer import Blob, NeuronLayer, Operations


class TruncationLayer(NeuronLayer):
    """dy/dx = 1 where lower_bound < x < upper_bound, 0 elsewhere."""

    type = "Truncation"
    keeps_bottom = True
    operations = Operations("truncation_kernels")

    def layer_set_up(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        param = self.param.truncation_param
        self.lower: float = param.lower_bound
        self.upper: float = param.upper_bound
        if self.lower > self.upper:
            raise LayerError(f"lower_bound is {self.lower:g}, more than upper_bound, {self.upper:g}.")

    def activate(self, x: Any, y: Any) -> None:
        self.ops.forward(x.reshape(-1), self.lower, self.upper, y.reshape(-1))

    def gradient(self, x: Any, y: Any, y_diff: Any, x_diff: Any) -> None:
        self.ops.backward(x.reshape(-1), self.lower, self.upper, y_diff.reshape(-1), x_diff.reshape(-1))
