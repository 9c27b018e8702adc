"""AbsVal: y = |x|. Bottom and top have any shape, the same; not in place.

Source: Caffe's `AbsValLayer`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bicerin.blob import Blob
from bicerin.errors import LayerError
from bicerin_activation.neuron_layer import NeuronLayer


class AbsValLayer(NeuronLayer):
    """dy/dx = sign(x), 0 at 0."""

    type = "AbsVal"

    def layer_set_up(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        if top[0] is bottom[0]:
            raise LayerError("AbsVal Layer does not allow in-place computation.", "Give its top a name of its own.")

    def activate(self, xp: Any, x: Any, y: Any) -> None:
        xp.absolute(x, out=y)

    def gradient(self, xp: Any, x: Any, y: Any, y_diff: Any, x_diff: Any) -> None:
        xp.multiply(y_diff, xp.sign(x), out=x_diff)
