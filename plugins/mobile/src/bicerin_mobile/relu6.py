"""ReLU6: y = min(max(x, 0) + negative_slope · min(x, 0), 6).

Bottom and top have any shape, the same. `relu6_param` has the fields of `relu_param`.

Source: Krizhevsky, "Convolutional deep belief networks on CIFAR-10", 2010; the ReLU6Layer of MobileNet-YOLO.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bicerin.layer import Blob, NeuronLayer, Operations, ReadsTops, Spares, TopValues


class ReLU6Layer(ReadsTops, Spares, NeuronLayer):
    """The gradient at 6 is 0, and at 0 the slope. In place it reads y, which lies on the same side of 0 and 6."""

    type = "ReLU6"
    operations = Operations("relu6_kernels")

    def layer_set_up(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        self.negative_slope: float = self.param.relu6_param.negative_slope

    def reads_in_tops(self) -> TopValues:
        return TopValues.ELEMENTS if self.in_place else TopValues.NONE

    def spares(self) -> TopValues:
        if self.negative_slope == 0:
            return TopValues.ELEMENTS
        return TopValues.SIGNS if self.negative_slope > 0 else TopValues.NONE

    def activate(self, x: Any, y: Any) -> None:
        self.ops.forward(x.reshape(-1), self.negative_slope, y.reshape(-1))

    def gradient(self, x: Any, y: Any, y_diff: Any, x_diff: Any) -> None:
        self.ops.backward(x.reshape(-1), self.negative_slope, y_diff.reshape(-1), x_diff.reshape(-1))
