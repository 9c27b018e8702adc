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
from typing import Any

import numpy as np

from bicerin.errors import ShapeError
from bicerin.layer import Blob, BlobCounts, ChecksInputs, LossLayer, Operations, between, refuse_label_gradient
from bicerin_face.labels import check_labels, own_class, require_labels


class GeneralTripletLossLayer(ChecksInputs, LossLayer):
    """Bottom 0: distances, `(N, K)`. Bottom 1: labels, N of them. Bottom 2, optional: a weight for the gradient of each
    item, N of them. Top 0: `()`. Top 1, optional: the mean distance from the own class and from the others, `(2,)`.
    """

    type = "GeneralTripletLoss"
    operations = Operations("label_kernels")
    counts = BlobCounts(bottom=between(2, 3), top=between(1, 2), auto_top=True)

    def allow_force_backward(self, bottom_index: int) -> bool:
        return bottom_index == 0

    def layer_set_up(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        self.delta = self.new_blob(name="delta")

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        super().reshape(bottom, top)
        self.rows = (bottom[0].shape[0], bottom[0].count_between(1))
        for blob in bottom[1:]:
            require_labels(blob, self.rows[0])
        if self.rows[1] < 2:
            raise ShapeError(f"distances from two classes or more are needed, (N, K): {bottom[0].shape}.")
        self.delta.reshape(*self.rows)
        if len(top) > 1:
            top[1].reshape(2)

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        xp, param = self.xp, self.param.general_triplet_loss_param
        number, classes = self.rows
        x = bottom[0].data.reshape(self.rows)
        labels, fault = self.ops.class_labels(bottom[1].data, classes)
        own = own_class(xp, labels, classes)
        nearest = xp.where(own, x, 0).sum(axis=1, keepdims=True)
        terms = xp.where(own, 0, xp.maximum(nearest + param.margin - x, 0))
        if param.hardest_only:
            terms = terms * (xp.arange(classes) == xp.argmin(xp.where(own, np.inf, x), axis=1)[:, None])
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
        refuse_label_gradient(self.type, any(propagate_down[1:]))
        if propagate_down[0]:
            scale = self.xp.asarray(self.loss_gradient(top) / max(1, self.rows[0]), self.dtype)
            diff = bottom[0].diff.reshape(self.rows)
            self.xp.multiply(self.delta.data, scale, out=diff)
            if len(bottom) > 2:
                diff *= bottom[2].data.reshape(-1, 1)

    def check_inputs(self, bottom: Sequence[Any]) -> None:
        check_labels(bottom[1], self.rows[1])
