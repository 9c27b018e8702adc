"""Log: y = log(shift + scale · x) to the base `base`; -1, the default, stands for e.

Bottom and top have any shape, the same. As in Caffe, it is NaN for a negative argument and -inf for 0.

Source: Caffe's `LogLayer`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bicerin.errors import LayerError
from bicerin.layer import Blob, NeuronLayer
from bicerin_activation.logarithm import natural_logarithm


class LogLayer(NeuronLayer):
    """dy/dx = scale / (log(base) · (shift + scale · x))."""

    type = "Log"
    keeps_bottom = True

    def layer_set_up(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        param = self.param.log_param
        logarithm = natural_logarithm(param.base)
        if logarithm == 0:
            raise LayerError("Inf result: 1/log(base) = 1/log(1) = inf.", "There is no logarithm to the base 1.")
        self.base_scale = 1 / logarithm
        self.scale: float = param.scale
        self.shift: float = param.shift

    def activate(self, x: Any, y: Any) -> None:
        self._line(x, y)
        self.xp.log(y, out=y)
        if self.base_scale != 1:
            y *= self.base_scale

    def gradient(self, x: Any, y: Any, y_diff: Any, x_diff: Any) -> None:
        xp = self.xp
        argument = xp.empty_like(x)
        self._line(x, argument)
        xp.divide(y_diff, argument, out=x_diff)
        x_diff *= self.scale * self.base_scale

    def _line(self, x: Any, y: Any) -> None:
        """y = shift + scale · x."""
        self.xp.multiply(x, self.scale, out=y)
        if self.shift != 0:
            y += self.shift
