"""Swish: y = x · sigmoid(beta · x).

Bottom and top have any shape, the same.

Source: Ramachandran et al., "Searching for activation functions", 2017; Caffe's `SwishLayer`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from bicerin.layer import Blob, NeuronLayer
from bicerin_activation import sigmoid_kernels


class SwishLayer(NeuronLayer):
    """With s = sigmoid(beta · x), dy/dx = beta · y + s · (1 - beta · y). s is kept, so it works in place."""

    type = "Swish"

    def layer_set_up(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        self.beta: float = self.param.swish_param.beta
        self.sigmoid = self.new_blob(name="sigmoid")

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        super().reshape(bottom, top)
        self.sigmoid.reshape_like(bottom[0])

    def activate(self, x: Any, y: Any) -> None:
        xp = self.xp
        sigmoid = self.sigmoid.data
        if xp is np:
            sigmoid_kernels.swish(x.reshape(-1), self.beta, sigmoid.reshape(-1), y.reshape(-1))
        else:
            sigmoid_kernels.swish_array(xp, x, self.beta, sigmoid, y)

    def gradient(self, x: Any, y: Any, y_diff: Any, x_diff: Any) -> None:
        xp = self.xp
        sigmoid = self.sigmoid.data
        if xp is np:
            flat = (array.reshape(-1) for array in (sigmoid, y_diff, x_diff))
            sigmoid_kernels.swish_backward(y.reshape(-1), self.beta, *flat)
        else:
            sigmoid_kernels.swish_backward_array(xp, y, self.beta, sigmoid, y_diff, x_diff)
