"""TanH: y = tanh(x).

Bottom and top have any shape, the same. `engine` is accepted and changes nothing.

Source: Caffe's `TanHLayer`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from bicerin.layer import NeuronLayer
from bicerin_activation import tanh_kernels


class TanHLayer(NeuronLayer):
    """dy/dx = 1 - y², so it works in place."""

    type = "TanH"

    def activate(self, x: Any, y: Any) -> None:
        xp = self.xp
        xp.tanh(x, out=y)

    def gradient(self, x: Any, y: Any, y_diff: Any, x_diff: Any) -> None:
        xp = self.xp
        if xp is np:
            tanh_kernels.backward(y.reshape(-1), y_diff.reshape(-1), x_diff.reshape(-1))
        else:
            tanh_kernels.backward_array(xp, y, y_diff, x_diff)
