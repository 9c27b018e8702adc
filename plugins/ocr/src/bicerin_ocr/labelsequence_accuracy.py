"""LabelsequenceAccuracy: the share of sequences that are read without a mistake.

Of each step the best class, the first of several; what repeats is one, and blanks are dropped. It is right if that is
the label without its blanks.

Source: the LabelsequenceAccuracyLayer of warpctc-caffe.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bicerin.errors import LayerError, ShapeError
from bicerin.layer import Blob, BlobCounts, Layer
from bicerin_ocr.sequences import best_path, compacted


class LabelsequenceAccuracyLayer(Layer):
    """Bottom 0: scores, `(N, T, C)`. Bottom 1: labels, `(N, L)`, of which blanks do not count. Top: `()`."""

    type = "LabelsequenceAccuracy"
    counts = BlobCounts(bottom=2, top=1)
    allows_in_place = False

    def allow_force_backward(self, bottom_index: int) -> bool:
        return False

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        self.blank: int = self.param.labelsequence_accuracy_param.blank_label
        scores, labels = bottom
        if scores.num_axes != 3 or not scores.shape[2]:
            raise ShapeError(f"the scores must have the shape (N, T, C), not {scores.shape}.")
        if labels.num_axes < 1 or labels.shape[0] != scores.shape[0]:
            raise ShapeError(f"the labels must have the shape ({scores.shape[0]}, L), not {labels.shape}.")
        top[0].reshape()

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        xp, number = self.xp, bottom[0].shape[0]
        if not number:
            top[0].data[...] = 0
            return
        labels = bottom[1].data.reshape(number, bottom[1].count // number)
        length = max(bottom[0].shape[1], labels.shape[1])
        labels = labels.astype(np.int64)
        wanted = compacted(xp, labels, labels != self.blank, length)
        found = compacted(xp, *best_path(xp, bottom[0].data, self.blank), length)
        top[0].data[...] = (wanted == found).all(axis=1).sum() / number

    def backward(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        if any(propagate_down):
            raise LayerError("an accuracy has no gradient.")
