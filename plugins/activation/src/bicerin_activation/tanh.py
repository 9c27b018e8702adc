"""TanH: y = tanh(x).

Bottom and top have any shape, the same. `engine` is accepted and changes nothing.

Source: Caffe's `TanHLayer`.
"""

from __future__ import annotations

from typing import Any

from bicerin.layer import NeuronLayer, Operations, ReadsTops, Spares, TopValues


class TanHLayer(ReadsTops, Spares, NeuronLayer):
    """dy/dx = 1 - y², so it works in place."""

    type = "TanH"
    operations = Operations("tanh_kernels")

    def reads_in_tops(self) -> TopValues:
        return TopValues.ELEMENTS

    def spares(self) -> TopValues:
        return TopValues.SIGNS

    def activate(self, x: Any, y: Any) -> None:
        self.xp.tanh(x, out=y)

    def gradient(self, x: Any, y: Any, y_diff: Any, x_diff: Any) -> None:
        self.ops.backward(y.reshape(-1), y_diff.reshape(-1), x_diff.reshape(-1))
