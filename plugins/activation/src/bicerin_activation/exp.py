"""Exp: y = base ^ (shift + scale · x); `base` -1, the default, stands for e.

Bottom and top have any shape, the same.

Source: Caffe's `ExpLayer`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from bicerin.layer import Blob, NeuronLayer, ReadsTops, TopValues
from bicerin_activation.logarithm import natural_logarithm


class ExpLayer(ReadsTops, NeuronLayer):
    """dy/dx = y · scale · log(base), so it works in place."""

    type = "Exp"

    def layer_set_up(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        param = self.param.exp_param
        logarithm = natural_logarithm(param.base)
        self.inner_scale = logarithm * param.scale
        with np.errstate(over="ignore"):
            self.outer_scale = float(np.exp(logarithm * param.shift))

    def reads_in_tops(self) -> TopValues:
        return TopValues.ELEMENTS

    def activate(self, x: Any, y: Any) -> None:
        xp = self.xp
        if self.inner_scale == 1:
            xp.exp(x, out=y)
        else:
            xp.multiply(x, self.inner_scale, out=y)
            xp.exp(y, out=y)
        if self.outer_scale != 1:
            y *= self.outer_scale

    def gradient(self, x: Any, y: Any, y_diff: Any, x_diff: Any) -> None:
        xp = self.xp
        xp.multiply(y_diff, y, out=x_diff)
        if self.inner_scale != 1:
            x_diff *= self.inner_scale
