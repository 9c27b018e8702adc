"""ParseEvaluate: how many pixels of each label there are, and how many are found.

- bottom 0: predicted labels `(N, 1, H, W)`; bottom 1: true labels, of the same shape. Both are 0 to `num_labels` - 1;
  pixels whose true label is an `ignore_label`, of which there may be several, do not count.
- top: `(1, num_labels, 1, 3)`: for each label the pixels that have it in both, in the truth, and in the prediction.

They are of one batch. From their sums over batches come accuracies and intersections over unions. No gradient.

Source: the ParseEvaluateLayer of weiliu89/caffe, branch fcn.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from bicerin.errors import LayerError, ShapeError
from bicerin.layer import Blob, BlobCounts, ChecksInputs, Layer, Operations, image_shape
from bicerin_segmentation.label_kernels import pixel_classes


class ParseEvaluateLayer(ChecksInputs, Layer):
    """On a device a label that is none makes all numbers NaN."""

    type = "ParseEvaluate"
    counts = BlobCounts(bottom=2, top=1)
    operations = Operations("label_kernels")
    allows_in_place = False

    def layer_set_up(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        param = self.param.parse_evaluate_param
        self.classes: int = param.num_labels
        if self.classes < 1:
            raise LayerError("parse_evaluate_param must give num_labels, at least 1.")
        self.ignored = sorted(set(param.ignore_label))

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        number, _, height, width = image_shape(bottom[0])
        for blob in bottom:
            if blob.shape != (number, 1, height, width):
                raise ShapeError(f"labels must have the shape ({number}, 1, {height}, {width}), not {blob.shape}.")
        top[0].reshape(1, self.classes, 1, 3)

    def allow_force_backward(self, bottom_index: int) -> bool:
        return False

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        xp, classes = self.xp, self.classes
        counts, right, fault = self.ops.pixel_classes(bottom[1].data, classes, self.ignored)
        _, found, wrong = self.ops.pixel_classes(bottom[0].data, classes, ())
        # What does not count is counted behind the labels.
        columns = (xp.where(found == right, right, classes), right, found)
        values = top[0].data
        for column, labels in enumerate(columns):
            numbers = xp.where(counts, labels, classes).reshape(-1)
            values[0, :, 0, column] = self.ops.count_numbers(numbers, classes + 1)[:-1]
        values += fault + wrong

    def check_inputs(self, bottom: Sequence[Any]) -> None:
        """Refuse labels that are none."""
        pixel_classes(np.asarray(bottom[1].data), self.classes, self.ignored)
        pixel_classes(np.asarray(bottom[0].data), self.classes, ())
