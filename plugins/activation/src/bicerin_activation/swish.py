"""Swish: y = x · sigmoid(beta · x).

Bottom and top have any shape, the same.

Source: Ramachandran et al., "Searching for activation functions", 2017; Caffe's `SwishLayer`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bicerin.blob import Blob
from bicerin_activation.neuron_layer import NeuronLayer


class SwishLayer(NeuronLayer):
    """With s = sigmoid(beta · x), dy/dx = beta · y + s · (1 - beta · y). s is kept, so it works in place."""

    type = "Swish"

    def layer_set_up(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        self.beta: float = self.param.swish_param.beta
        self.sigmoid = self.new_blob(name="sigmoid")

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        super().reshape(bottom, top)
        self.sigmoid.reshape_like(bottom[0])

    def activate(self, xp: Any, x: Any, y: Any) -> None:
        sigmoid = self.on(xp, self.sigmoid).data
        xp.multiply(x, 0.5 * self.beta, out=sigmoid)
        xp.tanh(sigmoid, out=sigmoid)
        sigmoid *= 0.5
        sigmoid += 0.5
        xp.multiply(x, sigmoid, out=y)

    def gradient(self, xp: Any, x: Any, y: Any, y_diff: Any, x_diff: Any) -> None:
        sigmoid, scaled = self.on(xp, self.sigmoid).data, self.beta * y
        xp.multiply(y_diff, scaled + sigmoid * (1 - scaled), out=x_diff)
