"""Accuracy: the share of labels whose class is among the `top_k` best scores.

- bottom 0: scores, any shape, C classes along `axis` (by default 1), e.g. (N, C) or (N, C, H, W).
- bottom 1: labels 0 to C - 1, as many as there are scores of one class, e.g. (N,) or (N, 1, H, W).
- top 0: the accuracy, shape (); labels equal to `ignore_label` do not count, and 0 where none is left.
- top 1, optional: the accuracy among the labels of each class, shape (C,); 0 for a class that no label has.

A label is right if fewer than `top_k` other classes score as much or more: a tie counts against it. A NaN score of the
label's class is wrong, which differs from Caffe, where a comparison with NaN made it right. With `min_is_better` the
least scores are the best.

Source: Caffe's `AccuracyLayer`; happynear's for `min_is_better`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bicerin.errors import ShapeError
from bicerin.layer import Blob, BlobCounts, Layer, Operations, around, between
from bicerin_loss.labels import ignore_label, require_label_count


class AccuracyLayer(Layer):
    """It has no gradient."""

    type = "Accuracy"
    counts = BlobCounts(bottom=2, top=between(1, 2))
    allows_in_place = False
    operations = Operations("label_kernels")

    def layer_set_up(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        self.top_k: int = self.param.accuracy_param.top_k
        self.ignore_label = ignore_label(self.param.accuracy_param)
        self.least_is_best: bool = self.param.accuracy_param.min_is_better

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        axis = bottom[0].canonical_axis(self.param.accuracy_param.axis)
        require_label_count(bottom[0], bottom[1], axis, "label")
        self.columns = around(bottom[0], axis)
        classes = self.columns[1]
        if self.top_k > classes:
            raise ShapeError(
                f"top_k must be less than or equal to the number of classes: {self.top_k} against {classes}."
            )
        top[0].reshape()
        if len(top) > 1:
            top[1].reshape(classes)

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        xp = self.xp
        outer, classes, inner = self.columns
        labels, valid = self.ops.class_labels(bottom[1].data, classes, self.ignore_label)
        labels = labels.reshape(outer, inner)
        right = xp.empty(labels.shape, self.dtype)
        scores = bottom[0].data.reshape(self.columns)
        self.ops.right_labels(-scores if self.least_is_best else scores, labels, self.top_k, right)
        top[0].data[...] = right.sum(dtype=np.float64) / xp.maximum(valid, 1)
        if len(top) > 1:
            seen, hits = xp.empty(classes, self.dtype), xp.empty(classes, self.dtype)
            self.ops.count_by_class(labels, right, seen, hits)
            xp.divide(hits, xp.maximum(seen, 1), out=top[1].data)
