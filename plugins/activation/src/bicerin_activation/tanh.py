"""TanH: y = tanh(x).

Bottom and top have any shape, the same. `engine` is accepted and changes nothing.

Source: Caffe's `TanHLayer`.
"""

from __future__ import annotations

from typing import Any

from bicerin_activation.neuron_layer import NeuronLayer


class TanHLayer(NeuronLayer):
    """dy/dx = 1 - y², so it works in place."""

    type = "TanH"

    def activate(self, xp: Any, x: Any, y: Any) -> None:
        xp.tanh(x, out=y)

    def gradient(self, xp: Any, x: Any, y: Any, y_diff: Any, x_diff: Any) -> None:
        xp.multiply(y_diff, 1 - y * y, out=x_diff)
