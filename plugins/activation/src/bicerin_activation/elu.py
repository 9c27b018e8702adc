"""ELU: y = x where x > 0, alpha · (exp(x) - 1) elsewhere.

Bottom and top have any shape, the same.

Source: Clevert et al., "Fast and accurate deep network learning by exponential linear units", 2015; Caffe's `ELULayer`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from bicerin.layer import Blob, NeuronLayer
from bicerin_activation import elu_kernels


class ELULayer(NeuronLayer):
    """Where x is not positive dy/dx = y + alpha. In place the sign of y stands for x's, right for alpha ≥ 0."""

    type = "ELU"

    def layer_set_up(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        self.alpha: float = self.param.elu_param.alpha

    def activate(self, x: Any, y: Any) -> None:
        xp = self.xp
        if xp is np:
            elu_kernels.forward(x.reshape(-1), self.alpha, y.reshape(-1))
        else:
            elu_kernels.forward_array(xp, x, self.alpha, y)

    def gradient(self, x: Any, y: Any, y_diff: Any, x_diff: Any) -> None:
        xp = self.xp
        if xp is np:
            flat = (array.reshape(-1) for array in (y_diff, x_diff))
            elu_kernels.backward(x.reshape(-1), y.reshape(-1), self.alpha, *flat)
        else:
            elu_kernels.backward_array(xp, x, y, self.alpha, y_diff, x_diff)
