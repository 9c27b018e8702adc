"""Sigmoid: y = 1 / (1 + exp(-x)).

Bottom and top have any shape, the same. `engine` is accepted and changes nothing.

Source: Caffe's `SigmoidLayer`.
"""

from __future__ import annotations

from typing import Any

from bicerin.layer import NeuronLayer, Operations, ReadsTops, TopValues


class SigmoidLayer(ReadsTops, NeuronLayer):
    """dy/dx = y · (1 - y), so it works in place."""

    type = "Sigmoid"
    operations = Operations("sigmoid_kernels")

    def reads_in_tops(self) -> TopValues:
        return TopValues.ELEMENTS

    def activate(self, x: Any, y: Any) -> None:
        self.ops.sigmoid(x.reshape(-1), y.reshape(-1))

    def gradient(self, x: Any, y: Any, y_diff: Any, x_diff: Any) -> None:
        self.ops.sigmoid_backward(y.reshape(-1), y_diff.reshape(-1), x_diff.reshape(-1))
