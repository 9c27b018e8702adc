"""Mish: y = x · tanh(log(1 + exp(x))), computed so that exp cannot overflow.

Bottom and top have any shape, the same; it works in place, at the price of a copy of the bottom.

Source: Misra, "Mish: a self regularized non-monotonic activation function", 2019; the `MishLayer` of MobileNet-YOLO.
"""

from __future__ import annotations

from typing import Any

from bicerin.layer import NeuronLayer, Operations


class MishLayer(NeuronLayer):
    """With t = tanh(log(1 + exp(x))), dy/dx = t + x · (1 - t²) · sigmoid(x)."""

    type = "Mish"
    operations = Operations("mish_kernels")
    keeps_bottom = True

    def activate(self, x: Any, y: Any) -> None:
        self.ops.forward(x.reshape(-1), y.reshape(-1))

    def gradient(self, x: Any, y: Any, y_diff: Any, x_diff: Any) -> None:
        self.ops.backward(x.reshape(-1), y_diff.reshape(-1), x_diff.reshape(-1))
