"""SoftmaxWithLoss: the mean of -log p, where p is the softmax that bottom 0 gives to the class of the label.

- bottom 0: scores, any shape, C classes along `softmax_param.axis` (by default 1), e.g. (N, C) or (N, C, H, W).
- bottom 1: labels 0 to C - 1, as many as there are scores of one class, e.g. (N,) or (N, 1, H, W).
- top 0: the loss, shape (). The sum over all labels that are not `ignore_label` is divided as `normalization` says.
- top 1, optional: the softmax, shape of bottom 0.

p is taken to be at least FLT_MIN, so the loss of one label is at most 87.3.

Source: Caffe's `SoftmaxWithLossLayer`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from bicerin.blob import Blob
from bicerin.layer import ArrayLayer, BlobCounts, between
from bicerin.loss_layer import LossLayer, normalization_mode, normalizer
from bicerin_loss.labels import class_labels, ignore_label, refuse_label_gradient, require_label_count
from bicerin_loss.softmax import class_columns, softmax

FLT_MIN = np.finfo(np.float32).tiny


class SoftmaxWithLossLayer(ArrayLayer, LossLayer):
    """The gradient with respect to the scores is softmax - 1 at the label's class, softmax elsewhere, divided alike."""

    type = "SoftmaxWithLoss"
    counts = BlobCounts(bottom=2, top=between(1, 2), auto_top=True)

    def layer_set_up(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        self.ignore_label = ignore_label(self.param.loss_param)
        self.normalization = normalization_mode(self.param.loss_param)
        self.probability = self.new_blob(name="probability")

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        LossLayer.reshape(self, bottom, top)
        axis = bottom[0].canonical_axis(self.param.softmax_param.axis)
        require_label_count(bottom[0], bottom[1], axis, "softmax")
        self.columns = class_columns(bottom[0], axis)
        self.probability.reshape_like(bottom[0])
        if len(top) > 1:
            top[1].reshape_like(bottom[0])
            top[1].share_data(self.probability)

    def forward_array(self, xp: Any, bottom: Sequence[Any], top: Sequence[Any]) -> None:
        outer, classes, inner = self.columns
        self.labels = class_labels(xp, bottom[1].data, classes, self.ignore_label).reshape(outer, 1, inner)
        probability = self.on(xp, self.probability).data.reshape(self.columns)
        softmax(xp, bottom[0].data.reshape(self.columns), probability)
        self.valid = self.labels != self.ignore_label
        chosen = xp.take_along_axis(probability, xp.where(self.valid, self.labels, 0), axis=1)
        losses = -xp.log(xp.maximum(chosen, FLT_MIN))
        self.divisor = normalizer(self.normalization, outer, inner, int(self.valid.sum()))
        top[0].data[...] = xp.where(self.valid, losses, 0).sum(dtype=np.float64) / self.divisor

    def backward_array(
        self, xp: Any, top: Sequence[Any], propagate_down: Sequence[bool], bottom: Sequence[Any]
    ) -> None:
        refuse_label_gradient(self.type, propagate_down)
        if not propagate_down[0]:
            return
        probability = self.on(xp, self.probability).data.reshape(self.columns)
        right = self.labels == xp.arange(self.columns[1]).reshape(1, -1, 1)
        scale = float(top[0].diff) / self.divisor
        xp.multiply(probability - right, self.valid * self.dtype.type(scale), out=bottom[0].diff.reshape(self.columns))
