"""Clip: y = min where x < min, max where x > max, x between them.

Bottom and top have any shape, the same.

Source: Caffe's `ClipLayer`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bicerin.errors import LayerError
from bicerin.layer import Blob, NeuronLayer, Spares, TopValues


class ClipLayer(Spares, NeuronLayer):
    """dy/dx = 1 where min ≤ x ≤ max, 0 elsewhere."""

    type = "Clip"
    keeps_bottom = True

    def layer_set_up(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        param = self.param.clip_param
        for field in ("min", "max"):
            if not param.HasField(field):
                raise LayerError(f"clip_param has no {field}.", "It needs both: clip_param { min: 0 max: 6 }.")
        self.min: float = param.min
        self.max: float = param.max
        if self.min > self.max:
            raise LayerError(f"min is {self.min:g}, more than max, {self.max:g}.")

    def spares(self) -> TopValues:
        return TopValues.ELEMENTS

    def activate(self, x: Any, y: Any) -> None:
        self.xp.clip(x, self.min, self.max, out=y)

    def gradient(self, x: Any, y: Any, y_diff: Any, x_diff: Any) -> None:
        self.xp.multiply(y_diff, (x >= self.min) & (x <= self.max), out=x_diff)
