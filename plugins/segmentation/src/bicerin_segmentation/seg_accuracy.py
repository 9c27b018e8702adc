"""SegAccuracy: how many pixels are labelled right, of all and by class.

- bottom 0: scores `(N, C, H, W)`, the class is the first of the best; with C = 1 a probability, of class 1 above 0.5.
- bottom 1: labels `(N, 1, H, W)`, 0 to C - 1 (0 and 1 for C = 1); those of `ignore_label`, which may be several, do not
  count.
- top: `(1, 1, 1, 3)`: the share of right pixels; the mean over the classes that there are of the share of their pixels
  that are right; the mean over all classes of intersection over union, 1 for a class that nobody sees. The first two
  are 0 where no pixel counts.

They are of one batch; a test gives the mean over its batches. No gradient.

Source: the SegAccuracyLayer of hszhao/PSPNet, and of DeepLab before it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from bicerin.errors import ShapeError
from bicerin.layer import Blob, BlobCounts, ChecksInputs, Layer, Operations, image_shape
from bicerin_segmentation.label_kernels import pixel_classes


class SegAccuracyLayer(ChecksInputs, Layer):
    """On a device a label that is no class makes all three NaN."""

    type = "SegAccuracy"
    counts = BlobCounts(bottom=2, top=1)
    operations = Operations("label_kernels")
    allows_in_place = False

    def layer_set_up(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        self.ignored = sorted(set(self.param.seg_accuracy_param.ignore_label))

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        number, channels, height, width = image_shape(bottom[0])
        if channels < 1:
            raise ShapeError("there must be a channel of scores.")
        if bottom[1].shape != (number, 1, height, width):
            raise ShapeError(f"the labels must have the shape ({number}, 1, {height}, {width}), not {bottom[1].shape}.")
        self.classes = max(channels, 2)
        top[0].reshape(1, 1, 1, 3)

    def allow_force_backward(self, bottom_index: int) -> bool:
        return False

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        xp, classes = self.xp, self.classes
        scores = bottom[0].data
        found = xp.argmax(scores, axis=1) if scores.shape[1] > 1 else (scores[:, 0] > 0.5).astype(np.int64)
        counts, right, fault = self.ops.pixel_classes(bottom[1].data[:, 0], classes, self.ignored)
        # What does not count is counted behind the matrix.
        pair = xp.where(counts, right * classes + found, classes * classes).reshape(-1)
        matrix = self.ops.count_numbers(pair, classes * classes + 1)[:-1].reshape(classes, classes)
        matrix = matrix.astype(np.float64)
        hits, labelled, said = matrix.diagonal(), matrix.sum(axis=1), matrix.sum(axis=0)
        union = labelled + said - hits
        there = labelled > 0
        values = top[0].data.reshape(3)
        values[0] = hits.sum() / xp.maximum(matrix.sum(), 1)
        values[1] = (hits / xp.where(there, labelled, 1)).sum() / xp.maximum(there.sum(), 1)
        values[2] = xp.where(union > 0, hits / xp.where(union > 0, union, 1), 1).mean()
        values += fault

    def check_inputs(self, bottom: Sequence[Any]) -> None:
        """Refuse labels that are no classes."""
        pixel_classes(np.asarray(bottom[1].data)[:, 0], self.classes, self.ignored)
