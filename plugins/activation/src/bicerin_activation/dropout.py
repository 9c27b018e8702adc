"""Dropout: in TRAIN, y = x / (1 - dropout_ratio) with probability 1 - dropout_ratio, else 0; in TEST, y = x.

With `scale_train: false`, of R-CNN's forks: y = x in place of x / (1 - dropout_ratio) in TRAIN, and in TEST
y = x (1 - dropout_ratio). With `sample_weights_test`, of SegNet's fork, TEST is as TRAIN.

Bottom and top have any shape, the same. Each forward pass draws one key from the layer's generator; the backward pass
makes the same mask again from that key.

Source: Hinton et al., "Improving neural networks by preventing co-adaptation of feature detectors", 2012; Caffe's
`DropoutLayer`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from bicerin.errors import LayerError
from bicerin.kernels import Affine
from bicerin.layer import ActsAffinely, Blob, NeuronLayer, Operations, Phase, Repetition, Replays, Spares, TopValues


class DropoutLayer(ActsAffinely, Replays, Spares, NeuronLayer):
    """The expectation of y is x in both phases, or with `scale_train: false` x times the share that is kept."""

    type = "Dropout"
    operations = Operations("dropout_kernels")

    def layer_set_up(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        param = self.param.dropout_param
        ratio: float = param.dropout_ratio
        if not 0 <= ratio < 1:
            raise LayerError(
                f"dropout_ratio is {ratio:g}.", "It is the share of elements to drop: from 0 to less than 1."
            )
        trains = self.phase is Phase.TRAIN or param.sample_weights_test
        self.drops = trains and ratio > 0
        #: What is left is multiplied by it.
        self.scale = self.dtype.type(1)
        if param.scale_train and self.drops:
            self.scale = self.dtype.type(1 / (1 - ratio))
        elif not param.scale_train and not trains:
            self.scale = self.dtype.type(1 - ratio)
        self.threshold = int(ratio * 2**32)
        self.key = (0, 0)

    def affine(self) -> Affine | None:
        return None if self.drops or self.scale != 1 else Affine()

    def spares(self) -> TopValues:
        if self.scale == 1:
            return TopValues.ELEMENTS if self.drops else TopValues.ALL
        return TopValues.SIGNS

    def repetition(self) -> Repetition | None:
        return Repetition() if self.in_place and not self.drops and self.scale == 1 else None

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        # What leaves everything as it is need not ask where it is.
        if not self.in_place or self.drops or self.scale != 1:
            super().forward(bottom, top)

    def activate(self, x: Any, y: Any) -> None:
        if self.drops:
            first, second = self.context.random.integers(0, 2**32, 2, dtype=np.uint32)
            self.key = (int(first), int(second))
        self._drop(x, y)

    def gradient(self, x: Any, y: Any, y_diff: Any, x_diff: Any) -> None:
        self._drop(y_diff, x_diff)

    def _drop(self, source: Any, target: Any) -> None:
        if self.drops:
            self.ops.drop(source.reshape(-1), *self.key, self.threshold, self.scale, target.reshape(-1))
        elif self.scale != 1:
            self.xp.multiply(source, self.scale, out=target)
        elif target is not source:
            target[...] = source
