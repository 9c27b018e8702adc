"""SoftTruncation: y = 1 - e^(-x / c).

Bottom and top have any shape, the same.

Source: the SoftTruncationLayer of happynear/caffe-windows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bicerin.errors import LayerError
from bicerin.layer import Blob, NeuronLayer, Operations


class SoftTruncationLayer(NeuronLayer):
    """dy/dx = e^(-x / c) / c."""

    type = "SoftTruncation"
    keeps_bottom = True
    operations = Operations("soft_truncation_kernels")

    def layer_set_up(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        self.c: float = self.param.soft_truncation_param.c
        if self.c == 0:
            raise LayerError("soft_truncation_param: c must not be 0.")

    def activate(self, x: Any, y: Any) -> None:
        self.ops.forward(x.reshape(-1), self.c, y.reshape(-1))

    def gradient(self, x: Any, y: Any, y_diff: Any, x_diff: Any) -> None:
        self.ops.backward(x.reshape(-1), self.c, y_diff.reshape(-1), x_diff.reshape(-1))
