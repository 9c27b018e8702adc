"""WeightedSoftmaxWithLoss: SoftmaxWithLoss in which each item's labels count with a weight.

- bottoms 0, 1: scores and labels, as in `probability_loss_layer`.
- bottom 2: weights, one for each item, of the axes before that of the classes: (N,) for (N, C) or (N, C, H, W). They
  have no gradient.
- top: the loss, shape ().

With `normalization` VALID, the default, the sum is divided by the number of labels whose weight is more than 1e-12,
ignored ones left out, at least 1; otherwise as in SoftmaxWithLoss.

Source: the `WeightedSoftmaxWithLossLayer` of OICR's nets (Tang et al., "Multiple instance detection network with online
instance classifier refinement", 2017), as in LSTD's Caffe.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bicerin.errors import LayerError, ShapeError
from bicerin.layer import Blob, BlobCounts
from bicerin_loss.softmax_with_loss import SoftmaxWithLossLayer

NOTHING = 1e-12


class WeightedSoftmaxWithLossLayer(SoftmaxWithLossLayer):
    """The gradient is SoftmaxWithLoss's, times the item's weight."""

    type = "WeightedSoftmaxWithLoss"
    counts = BlobCounts(bottom=3, top=1, auto_top=True)

    def require_weights(self, bottom: Sequence[Blob]) -> None:
        if bottom[2].count != self.columns[0]:
            raise ShapeError(f"there must be a weight for each of the {self.columns[0]} items: {bottom[2].count}.")

    def layer_set_up(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        super().layer_set_up(bottom, top)
        if self.class_weight is not None:
            raise LayerError("class_weight is known to SoftmaxWithLoss, not to this loss.")

    def weigh(self, bottom: Sequence[Blob]) -> None:
        xp = self.xp
        valid = self.labels >= 0
        weights = bottom[2].data.reshape(-1, 1)
        self.weights = weights * valid
        if self.normalization == "VALID":
            number = xp.maximum((valid & (weights > NOTHING)).sum(dtype=np.float64), 1)
            # NaN where a label is wrong, as the divisor is then.
            self.divisor = self.gradient_divisor = (number + 0 * self.divisor).astype(self.dtype)
        if self.class_weighting is not None:
            self.weights = self.weights * self.class_weighting[self.labels]
