"""SeLuDropout: in TRAIN, a x + b with probability q = 1 - dropout_ratio, else a alpha + b; in TEST, y = x.

With a = 1 / sqrt(q (1 + alpha² (1 - q))) and b = -a (1 - q) alpha, a mean of 0 and a variance of 1 stay what they are.
It is "alpha dropout", which goes with SeLu.

Source: Klambauer et al., "Self-normalizing neural networks", 2017; the `SeLuDropoutLayer` of soeaver's Caffe.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from bicerin.errors import LayerError
from bicerin.layer import TRAIN, Blob, NeuronLayer, Operations


class SeLuDropoutLayer(NeuronLayer):
    """Bottom and top: any shape. Each forward pass draws one key from the layer's generator, as Dropout's does; the
    backward pass makes the same mask again from that key.
    """

    type = "SeLuDropout"
    operations = Operations("dropout_kernels")

    def layer_set_up(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        param = self.param.selu_dropout_param
        ratio: float = param.dropout_ratio
        if not 0 <= ratio < 1:
            raise LayerError(
                f"dropout_ratio is {ratio:g}.", "It is the share of elements to drop: from 0 to less than 1."
            )
        self.alpha: float = param.alpha
        self.drops = self.phase is TRAIN and ratio > 0
        scale = ((1 - ratio) * (1 + self.alpha**2 * ratio)) ** -0.5
        self.scale = self.dtype.type(scale)
        #: What the dropped ones become.
        self.shift = self.dtype.type(scale * self.alpha * (1 - ratio))
        self.threshold = int(ratio * 2**32)
        self.key = (0, 0)

    def activate(self, x: Any, y: Any) -> None:
        if self.drops:
            first, second = self.context.random.integers(0, 2**32, 2, dtype=np.uint32)
            self.key = (int(first), int(second))
            # a (x - alpha) where it is kept, 0 elsewhere, and then a alpha + b = a alpha q more.
            self.xp.subtract(x, self.dtype.type(self.alpha), out=y)
            self._drop(y, y)
            y += self.shift
        elif y is not x:
            y[...] = x

    def gradient(self, x: Any, y: Any, y_diff: Any, x_diff: Any) -> None:
        if self.drops:
            self._drop(y_diff, x_diff)
        elif x_diff is not y_diff:
            x_diff[...] = y_diff

    def _drop(self, source: Any, target: Any) -> None:
        self.ops.drop(source.reshape(-1), *self.key, self.threshold, self.scale, target.reshape(-1))
