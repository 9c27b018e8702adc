"""ReLU: y = max(x, 0) + negative_slope · min(x, 0).

Bottom and top have any shape, the same. `engine` is accepted and changes nothing.

Source: Nair and Hinton, "Rectified linear units improve restricted Boltzmann machines", 2010; Caffe's `ReLULayer`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bicerin.blob import Blob
from bicerin_activation.neuron_layer import NeuronLayer


class ReLULayer(NeuronLayer):
    """In place the gradient reads the sign of y, which is x's where the slope is not negative."""

    type = "ReLU"

    def layer_set_up(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        self.negative_slope: float = self.param.relu_param.negative_slope

    def activate(self, xp: Any, x: Any, y: Any) -> None:
        if self.negative_slope == 0:
            xp.maximum(x, 0, out=y)
        else:
            y[...] = xp.maximum(x, 0) + self.negative_slope * xp.minimum(x, 0)

    def gradient(self, xp: Any, x: Any, y: Any, y_diff: Any, x_diff: Any) -> None:
        if self.negative_slope == 0:
            xp.multiply(y_diff, x > 0, out=x_diff)
        else:
            x_diff[...] = xp.where(x > 0, y_diff, y_diff * self.negative_slope)
