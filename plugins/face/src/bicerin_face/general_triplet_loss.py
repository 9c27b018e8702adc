"""GeneralTripletLoss: the own class shall be nearer than all others by a margin.

top = negative_weight · Σ max(x_own + margin - x_other, 0) / N, over the distances x of N items from K classes.

`hardest_only` keeps each item's nearest other class; with `positive_first` an item whose distance from its own class is
greater than `positive_upper_bound` has no others. The gradient of another class is -negative_weight where its term is
not 0; that of the own class is positive_weight, however many terms there are, and with `add_center_loss` without any,
all divided by N: it is not that of the loss.

Source: the GeneralTripletLossLayer of happynear/caffe-windows.
"""

from __future__ import annotations

from collections.abc import Sequence

from bicerin.layer import Blob, BlobCounts, Operations, between
from bicerin_face.distance_loss import DistanceLossLayer
from bicerin_face.labels import own_class


class GeneralTripletLossLayer(DistanceLossLayer):
    """Bottom 0: distances, `(N, K)`. Bottom 1: labels, N of them. Bottom 2, optional: a weight for the gradient of each
    item, N of them. Top 0: `()`. Top 1, optional: the mean distance from the own class and from the others, `(2,)`.
    """

    type = "GeneralTripletLoss"
    operations = Operations("label_kernels")
    counts = BlobCounts(bottom=between(2, 3), top=between(1, 2), auto_top=True)

    def allow_force_backward(self, bottom_index: int) -> bool:
        return bottom_index == 0

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        xp, param = self.xp, self.param.general_triplet_loss_param
        number, classes = self.rows
        x = bottom[0].data.reshape(self.rows)
        labels, fault = self.ops.class_labels(bottom[1].data, classes)
        own = own_class(xp, labels, classes)
        nearest = xp.where(own, x, 0).sum(axis=1, keepdims=True)
        terms = xp.where(own, 0, xp.maximum(nearest + param.margin - x, 0))
        if param.hardest_only:
            terms = terms * self.nearest_other(x, own)
        if param.positive_first:
            terms = terms * (nearest <= param.positive_upper_bound)
        active = terms > 0
        pulled = own if param.add_center_loss else own & active.any(axis=1)[:, None]
        self.delta.data[...] = param.positive_weight * pulled - param.negative_weight * active
        top[0].data[...] = terms.sum() * param.negative_weight / max(1, number) + fault.sum()
        if len(top) > 1:
            top[1].data[0] = nearest.sum() / max(1, number)
            top[1].data[1] = xp.where(own, 0, x).sum() / max(1, number * (classes - 1))

    def backward(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        super().backward(top, propagate_down, bottom)
        if propagate_down[0] and len(bottom) > 2:
            diff = bottom[0].diff.reshape(self.rows)
            diff *= bottom[2].data.reshape(-1, 1)
