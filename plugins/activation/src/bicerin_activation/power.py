"""Power: y = (shift + scale · x) ^ power.

Bottom and top have any shape, the same. With `scale` or `power` 0 the top is a constant.

Source: Caffe's `PowerLayer`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from bicerin.layer import Blob, NeuronLayer


class PowerLayer(NeuronLayer):
    """dy/dx = power · scale · (shift + scale · x) ^ (power - 1)."""

    type = "Power"

    def layer_set_up(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        param = self.param.power_param
        self.power: float = param.power
        self.scale: float = param.scale
        self.shift: float = param.shift
        self.slope = self.power * self.scale
        # A line's gradient needs no x.
        self.keeps_bottom = self.slope != 0 and self.power != 1

    def constant(self) -> float:
        """What the top is where its slope is 0: infinite for a negative power of 0, NaN for a root of less than 0."""
        with np.errstate(all="ignore"):
            return 1.0 if self.power == 0 else float(self.dtype.type(self.shift) ** self.power)

    def activate(self, x: Any, y: Any) -> None:
        if self.slope == 0:
            y[...] = self.constant()
            return
        self._line(x, y)
        self._raise(y, self.power)

    def gradient(self, x: Any, y: Any, y_diff: Any, x_diff: Any) -> None:
        xp = self.xp
        if self.slope == 0 or self.power == 1:
            xp.multiply(y_diff, self.slope, out=x_diff)
            return
        base = xp.empty_like(x)
        self._line(x, base)
        self._raise(base, self.power - 1)
        base *= self.slope
        xp.multiply(y_diff, base, out=x_diff)

    def _line(self, x: Any, y: Any) -> None:
        """y = shift + scale · x, without the passes that would change nothing."""
        if self.scale != 1:
            self.xp.multiply(x, self.scale, out=y)
        elif y is not x:
            y[...] = x
        if self.shift != 0:
            y += self.shift

    def _raise(self, y: Any, power: float) -> None:
        if power == 2:
            y *= y
        elif power != 1:
            self.xp.power(y, power, out=y)
