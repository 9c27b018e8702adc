"""Sigmoid: y = 1 / (1 + exp(-x)).

Bottom and top have any shape, the same. `engine` is accepted and changes nothing.

Source: Caffe's `SigmoidLayer`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from bicerin.layer import NeuronLayer
from bicerin_activation import sigmoid_kernels


class SigmoidLayer(NeuronLayer):
    """dy/dx = y · (1 - y), so it works in place."""

    type = "Sigmoid"

    def activate(self, x: Any, y: Any) -> None:
        xp = self.xp
        if xp is np:
            sigmoid_kernels.sigmoid(x.reshape(-1), y.reshape(-1))
        else:
            sigmoid_kernels.sigmoid_array(xp, x, y)

    def gradient(self, x: Any, y: Any, y_diff: Any, x_diff: Any) -> None:
        xp = self.xp
        if xp is np:
            sigmoid_kernels.sigmoid_backward(y.reshape(-1), y_diff.reshape(-1), x_diff.reshape(-1))
        else:
            sigmoid_kernels.sigmoid_backward_array(xp, y, y_diff, x_diff)
