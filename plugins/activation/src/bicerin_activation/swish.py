"""Swish: y = x · sigmoid(beta · x).

Bottom and top have any shape, the same.

Source: Ramachandran et al., "Searching for activation functions", 2017; Caffe's `SwishLayer`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bicerin.layer import Blob, NeuronLayer, Operations, ReadsTops, Spares, TopValues


class SwishLayer(ReadsTops, Spares, NeuronLayer):
    """With s = sigmoid(beta · x), dy/dx = beta · y + s · (1 - beta · y). s is kept, so it works in place."""

    type = "Swish"
    operations = Operations("sigmoid_kernels")

    def layer_set_up(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        self.beta: float = self.param.swish_param.beta
        self.sigmoid = self.new_blob(name="sigmoid")

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        super().reshape(bottom, top)
        self.sigmoid.reshape_like(bottom[0])

    def reads_in_tops(self) -> TopValues:
        return TopValues.ELEMENTS

    def spares(self) -> TopValues:
        return TopValues.SIGNS

    def activate(self, x: Any, y: Any) -> None:
        self.ops.swish(x.reshape(-1), self.beta, self.sigmoid.data.reshape(-1), y.reshape(-1))

    def gradient(self, x: Any, y: Any, y_diff: Any, x_diff: Any) -> None:
        s = self.sigmoid.data.reshape(-1)
        self.ops.swish_backward(y.reshape(-1), self.beta, s, y_diff.reshape(-1), x_diff.reshape(-1))
