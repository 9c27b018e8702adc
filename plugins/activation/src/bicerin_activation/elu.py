"""ELU: y = x where x > 0, alpha · (exp(x) - 1) elsewhere.

Bottom and top have any shape, the same.

Source: Clevert et al., "Fast and accurate deep network learning by exponential linear units", 2015; Caffe's `ELULayer`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bicerin.blob import Blob
from bicerin_activation.neuron_layer import NeuronLayer


class ELULayer(NeuronLayer):
    """Where x is not positive dy/dx = y + alpha. In place the sign of y stands for x's, right for alpha ≥ 0."""

    type = "ELU"

    def layer_set_up(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        self.alpha: float = self.param.elu_param.alpha

    def activate(self, xp: Any, x: Any, y: Any) -> None:
        negative = xp.minimum(x, 0)
        xp.expm1(negative, out=negative)
        negative *= self.alpha
        xp.maximum(x, 0, out=y)
        y += negative

    def gradient(self, xp: Any, x: Any, y: Any, y_diff: Any, x_diff: Any) -> None:
        xp.multiply(y_diff, xp.where(x > 0, 1, y + self.alpha), out=x_diff)
