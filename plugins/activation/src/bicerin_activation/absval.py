"""AbsVal: y = |x|. Bottom and top have any shape, the same; not in place.

Source: Caffe's `AbsValLayer`.
"""

from __future__ import annotations

from typing import Any

from bicerin.layer import NeuronLayer


class AbsValLayer(NeuronLayer):
    """dy/dx = sign(x), 0 at 0."""

    type = "AbsVal"
    allows_in_place = False

    def activate(self, x: Any, y: Any) -> None:
        self.xp.absolute(x, out=y)

    def gradient(self, x: Any, y: Any, y_diff: Any, x_diff: Any) -> None:
        xp = self.xp
        xp.multiply(y_diff, xp.sign(x), out=x_diff)
