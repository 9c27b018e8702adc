"""BNLL, the binomial normal log likelihood: y = log(1 + exp(x)), computed so that exp cannot overflow.

Bottom and top have any shape, the same; it works in place, at the price of a copy of the bottom.

Source: Caffe's `BNLLLayer`.
"""

from __future__ import annotations

from typing import Any

from bicerin.layer import NeuronLayer, Operations


class BNLLLayer(NeuronLayer):
    """dy/dx = sigmoid(x), from x and not from y, which the next layer may overwrite."""

    type = "BNLL"
    operations = Operations("bnll_kernels")
    keeps_bottom = True

    def activate(self, x: Any, y: Any) -> None:
        self.ops.forward(x.reshape(-1), y.reshape(-1))

    def gradient(self, x: Any, y: Any, y_diff: Any, x_diff: Any) -> None:
        self.ops.backward(x.reshape(-1), y_diff.reshape(-1), x_diff.reshape(-1))
