"""SoftmaxWithLossOHEM: SoftmaxWithLoss that also gives the loss of each region. Dai et al., R-FCN, 2016.

top 0 = -sum of log p / divisor, p being the softmax of bottom 0 at the label, at least FLT_MIN.

The divisor is `loss_param.normalization`; VALID, the default, counts the labels that are not ignored.

Source: the SoftmaxWithLossOHEMLayer of R-FCN's Caffe. Tops 1 and 2 pass no gradient on.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bicerin.errors import ShapeError
from bicerin.layer import Blob, BlobCounts, ChecksInputs, LossLayer, Operations, around, between, refuse_label_gradient
from bicerin_rcnn.class_label_kernels import class_labels
from bicerin_rcnn.normalization import loss_divisor

FLT_MIN = float(np.finfo(np.float32).tiny)


class SoftmaxWithLossOHEMLayer(ChecksInputs, LossLayer):
    """Bottom 0: scores, C classes along `softmax_param.axis`. Bottom 1: labels, 0 to C - 1, one for each position
    besides that axis; a label of `ignore_label` costs nothing. Top 0: `()`. Top 1, optional: the softmax. Top 2,
    optional: the loss of each label, shape of bottom 1.
    """

    type = "SoftmaxWithLossOHEM"
    counts = BlobCounts(bottom=2, top=between(1, 3), auto_top=True)
    operations = Operations("class_label_kernels")

    def layer_set_up(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        loss_param = self.param.loss_param
        self.ignored: int | None = loss_param.ignore_label if loss_param.HasField("ignore_label") else None
        self.probability = self.new_blob(name="probability")

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        super().reshape(bottom, top)
        scores = bottom[0]
        axis = scores.canonical_axis(self.param.softmax_param.axis)
        shape = around(scores, axis)
        if shape[0] * shape[2] != bottom[1].count:
            raise ShapeError(
                f"Number of labels must match number of predictions: {bottom[1].count} against {shape[0] * shape[2]}.",
                "E.g., if softmax axis == 1 and prediction shape is (N, C, H, W), label count (number of labels) must "
                "be N*H*W, with integer values in {0, 1, ..., C-1}.",
            )
        self.probability.reshape(*shape)
        for blob, like in zip(top[1:], bottom, strict=False):
            blob.reshape_like(like)

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        xp = self.xp
        probability = self.probability.data
        outer, classes, inner = probability.shape
        labels, fault = self.ops.class_labels(bottom[1].data, classes, self.ignored)
        self.labels = labels.reshape(outer, 1, inner)
        if probability.size:
            scores = bottom[0].data.reshape(probability.shape)
            xp.exp(scores - scores.max(axis=1, keepdims=True), out=probability)
            probability /= probability.sum(axis=1, keepdims=True)
        chosen = xp.take_along_axis(probability, xp.maximum(self.labels, 0), axis=1)
        losses = xp.where(self.labels >= 0, -xp.log(xp.maximum(chosen, FLT_MIN)), 0)
        self.divisor = loss_divisor(xp, self.param.loss_param, outer, inner, valid=(self.labels >= 0).sum())
        top[0].data[...] = losses.sum() / self.divisor + fault
        for blob, values in zip(top[1:], (probability, losses), strict=False):
            blob.data[...] = values.reshape(blob.shape)

    def backward(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        xp = self.xp
        refuse_label_gradient(self.type, propagate_down[1])
        if propagate_down[0]:
            probability = self.probability.data
            right = self.labels == xp.arange(probability.shape[1])[:, None]
            diff = bottom[0].diff.reshape(probability.shape)
            xp.multiply(probability - right, self.labels >= 0, out=diff)
            diff *= self.loss_gradient(top) / self.divisor

    def check_inputs(self, bottom: Sequence[Blob]) -> None:
        class_labels(bottom[1].data, self.probability.shape[1], self.ignored)
