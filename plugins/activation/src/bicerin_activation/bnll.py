"""BNLL, the binomial normal log likelihood: y = log(1 + exp(x)), computed so that exp cannot overflow.

Bottom and top have any shape, the same.

Source: Caffe's `BNLLLayer`.
"""

from __future__ import annotations

from typing import Any

from bicerin.layer import NeuronLayer


class BNLLLayer(NeuronLayer):
    """dy/dx = sigmoid(x) = 1 - exp(-y), so it works in place."""

    type = "BNLL"

    def activate(self, x: Any, y: Any) -> None:
        xp = self.xp
        tail = xp.absolute(x, out=xp.empty_like(x))
        xp.negative(tail, out=tail)
        xp.log1p(xp.exp(tail, out=tail), out=tail)
        xp.maximum(x, 0, out=y)
        y += tail

    def gradient(self, x: Any, y: Any, y_diff: Any, x_diff: Any) -> None:
        xp = self.xp
        xp.multiply(y_diff, -xp.expm1(-y), out=x_diff)
