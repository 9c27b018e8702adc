"""SmoothL1LossOHEM: SmoothL1Loss that also gives the loss of each region. Dai et al., R-FCN, 2016.

top 0 = sum of f(weight * (prediction - target)) / divisor, f being smooth L1.

The divisor is `loss_param.normalization`: N H W for VALID, the default, and for FULL.

Source: the SmoothL1LossOHEMLayer of R-FCN's Caffe. As there, the gradient leaves the weights out, which is exact where
they are 0 or 1, and top 1 passes none on.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bicerin.layer import Blob, BlobCounts, LossLayer, between
from bicerin_rcnn.normalization import loss_divisor
from bicerin_rcnn.smooth_l1 import require_same_shape, smooth_l1, smooth_l1_slope


class SmoothL1LossOHEMLayer(LossLayer):
    """Bottoms 0 and 1: predictions and targets, `(N, C, H, W)`, or fewer axes. Bottom 2, optional: weights of the same
    shape; they have no gradient. Top 0: `()`. Top 1, optional: the sums over C alone, `(N, 1, H, W)`.
    """

    type = "SmoothL1LossOHEM"
    counts = BlobCounts(bottom=between(2, 3), top=between(1, 2), auto_top=True)

    def layer_set_up(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        #: weight * (prediction - target).
        self.difference = self.new_blob(name="difference")

    def allow_force_backward(self, bottom_index: int) -> bool:
        return bottom_index < 2

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        super().reshape(bottom, top)
        for other in bottom[1:]:
            require_same_shape(bottom[0], other)
        outer, inner = bottom[0].num, bottom[0].height * bottom[0].width
        self.difference.reshape(outer, bottom[0].channels, inner)
        self.divisor = loss_divisor(np, self.param.loss_param, outer, inner, valid=outer * inner)
        if len(top) > 1:
            top[1].reshape(outer, 1, bottom[0].height, bottom[0].width)

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        xp = self.xp
        difference = self.difference.data
        prediction, target, *weights = (blob.data.reshape(difference.shape) for blob in bottom)
        xp.subtract(prediction, target, out=difference)
        if weights:
            difference *= weights[0]
        losses = smooth_l1(xp, difference, 1.0).sum(axis=1)
        top[0].data[...] = losses.sum() / self.divisor
        if len(top) > 1:
            top[1].data[...] = losses.reshape(top[1].shape)

    def backward(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        xp = self.xp
        slope = smooth_l1_slope(xp, self.difference.data, 1.0).reshape(-1)
        scale = self.loss_gradient(top) / self.divisor
        for index, factor in enumerate((scale, -scale, 0)[: len(bottom)]):
            if propagate_down[index]:
                xp.multiply(slope, factor, out=bottom[index].diff.reshape(-1))
