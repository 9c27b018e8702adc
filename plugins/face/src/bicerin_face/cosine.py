"""Cosine: y = cos(x).

Bottom and top have any shape, the same.

Source: the CosineLayer of happynear/caffe-windows, whose gradient leaves out that of y.
"""

from __future__ import annotations

from typing import Any

from bicerin.layer import NeuronLayer


class CosineLayer(NeuronLayer):
    """dy/dx = -sin(x)."""

    type = "Cosine"
    keeps_bottom = True

    def activate(self, x: Any, y: Any) -> None:
        self.xp.cos(x, out=y)

    def gradient(self, x: Any, y: Any, y_diff: Any, x_diff: Any) -> None:
        self.xp.multiply(-self.xp.sin(x), y_diff, out=x_diff)
