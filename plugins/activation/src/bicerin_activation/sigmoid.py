"""Sigmoid: y = 1 / (1 + exp(-x)), computed as tanh(x / 2) / 2 + 1 / 2, which cannot overflow.

Bottom and top have any shape, the same. `engine` is accepted and changes nothing.

Source: Caffe's `SigmoidLayer`.
"""

from __future__ import annotations

from typing import Any

from bicerin_activation.neuron_layer import NeuronLayer


class SigmoidLayer(NeuronLayer):
    """dy/dx = y · (1 - y), so it works in place."""

    type = "Sigmoid"

    def activate(self, xp: Any, x: Any, y: Any) -> None:
        xp.multiply(x, 0.5, out=y)
        xp.tanh(y, out=y)
        xp.multiply(y, 0.5, out=y)
        xp.add(y, 0.5, out=y)

    def gradient(self, xp: Any, x: Any, y: Any, y_diff: Any, x_diff: Any) -> None:
        xp.multiply(y_diff, y * (1 - y), out=x_diff)
