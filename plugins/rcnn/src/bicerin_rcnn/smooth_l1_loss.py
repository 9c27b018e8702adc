"""SmoothL1Loss: the regression of boxes, robust against outliers. Girshick, Fast R-CNN, 2015.

top = sum of outside * f(inside * (prediction - target)) / N, f being smooth L1 with `sigma`. A second top, as in
R-FCN's Caffe, has each item's terms summed over its channels.

Source: the SmoothL1LossLayer of Faster R-CNN's Caffe, and those of Fast R-CNN and SSD, which have the inside weights
alone, as bottom 2. The gradient of these leaves the weights out: it is exact where they are 0 or 1, which is what such
nets give, and that is kept here.
"""

from __future__ import annotations

from collections.abc import Sequence

from bicerin.errors import LayerError, ShapeError
from bicerin.layer import Blob, BlobCounts, LossLayer, between
from bicerin_rcnn.smooth_l1 import require_same_shape, smooth_l1, smooth_l1_slope


class SmoothL1LossLayer(LossLayer):
    """Bottoms 0 and 1: predictions and targets, `(N, ...)`. Bottoms 2 and 3, optional: the weights inside and outside
    of f, of the same shape; they have no gradient. Top 0: `()`. Top 1, optional, without gradient: `(N, 1, ...)`.
    """

    type = "SmoothL1Loss"
    counts = BlobCounts(bottom=between(2, 4), top=between(1, 2), auto_top=True)

    def layer_set_up(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        sigma: float = self.param.smooth_l1_loss_param.sigma
        if sigma == 0:
            raise LayerError("sigma must not be 0.")
        self.sigma2 = sigma * sigma
        #: inside * (prediction - target).
        self.difference = self.new_blob(name="difference")

    def allow_force_backward(self, bottom_index: int) -> bool:
        return bottom_index < 2

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        super().reshape(bottom, top)
        for other in bottom[1:]:
            require_same_shape(bottom[0], other)
        self.difference.reshape(bottom[0].count)
        self.number = max(1, bottom[0].num)
        if len(top) > 1:
            if bottom[0].num_axes < 2:
                raise ShapeError(f"a second top sums over channels, which {bottom[0].shape} has none of.")
            top[1].reshape(bottom[0].shape[0], 1, *bottom[0].shape[2:])

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        xp = self.xp
        prediction, target, *weights = (blob.data.reshape(-1) for blob in bottom)
        difference = self.difference.data
        xp.subtract(prediction, target, out=difference)
        if weights:
            difference *= weights[0]
        errors = smooth_l1(xp, difference, self.sigma2)
        if len(weights) > 1:
            errors *= weights[1]
        top[0].data[...] = errors.sum() / self.number
        if len(top) > 1:
            top[1].data[...] = errors.reshape(bottom[0].shape).sum(axis=1, keepdims=True)

    def backward(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        xp = self.xp
        slope = smooth_l1_slope(xp, self.difference.data, self.sigma2)
        if len(bottom) == 4:
            slope *= bottom[2].data.reshape(-1)
            slope *= bottom[3].data.reshape(-1)
        scale = self.loss_gradient(top) / self.number
        for index, factor in enumerate((scale, -scale, 0, 0)[: len(bottom)]):
            if propagate_down[index]:
                xp.multiply(slope, factor, out=bottom[index].diff.reshape(-1))
