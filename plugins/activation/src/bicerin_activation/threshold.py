"""Threshold: y = 1 where x > threshold, 0 elsewhere.

Bottom and top have any shape, the same.

Source: Caffe's `ThresholdLayer`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bicerin.layer import Blob, NeuronLayer


class ThresholdLayer(NeuronLayer):
    """It has no gradient."""

    type = "Threshold"

    def layer_set_up(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        self.threshold: float = self.param.threshold_param.threshold

    def activate(self, x: Any, y: Any) -> None:
        y[...] = x > self.threshold
