"""Arccos: y = arccos(x).

Bottom and top have any shape, the same.

Source: the ArccosLayer of happynear/caffe-windows.
"""

from __future__ import annotations

from typing import Any

from bicerin.layer import NeuronLayer


class ArccosLayer(NeuronLayer):
    """dy/dx = -1 / sqrt(1 - min(x, 0.99)²), so that it stays finite at 1."""

    type = "Arccos"
    keeps_bottom = True

    def activate(self, x: Any, y: Any) -> None:
        self.xp.arccos(x, out=y)

    def gradient(self, x: Any, y: Any, y_diff: Any, x_diff: Any) -> None:
        below = self.xp.minimum(x, x.dtype.type(0.99))
        self.xp.divide(-y_diff, self.xp.sqrt(1 - below * below), out=x_diff)
