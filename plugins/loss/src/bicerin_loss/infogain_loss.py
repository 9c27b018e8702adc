"""InfogainLoss: -Σ_l H[label, l] · log p_l, where p is the softmax of bottom 0; with H the identity, SoftmaxWithLoss.

Bottoms, tops, `ignore_label` and `normalization` as in `probability_loss_layer`; the classes are along
`infogain_loss_param.axis`, by default 1. H has C · C elements, rows are labels: bottom 2, or where there is none the
BlobProto in the file `infogain_loss_param.source`. p is taken to be at least 1e-20.

Source: Caffe's `InfogainLossLayer`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from bicerin.errors import LayerError, ShapeError
from bicerin.layer import Blob, BlobCounts, between
from bicerin.layer.data_file import read_blob
from bicerin_loss.multinomial_logistic_loss import LOG_THRESHOLD
from bicerin_loss.probability_loss_layer import ProbabilityLossLayer


class InfogainLossLayer(ProbabilityLossLayer):
    """The gradient with respect to the scores is p · Σ_l H[label, l] - H[label, :]."""

    type = "InfogainLoss"
    counts = BlobCounts(bottom=between(2, 3), top=between(1, 2), auto_top=True)
    axis_name = "infogain"

    @property
    def class_axis(self) -> int:
        axis: int = self.param.infogain_loss_param.axis
        return axis

    def allow_force_backward(self, bottom_index: int) -> bool:
        return bottom_index == 0

    def layer_set_up(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        super().layer_set_up(bottom, top)
        if self.param.loss_param.HasField("normalize"):
            raise LayerError('normalize is deprecated. use "normalization"', "VALID is normalize: true.")
        self.infogain: Blob | None = None
        if len(bottom) < 3:
            matrix = self._read_source()
            self.infogain = self.new_blob(matrix.shape, "infogain")
            self.infogain.blob.data[...] = matrix

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        super().reshape(bottom, top)
        infogain = bottom[2] if self.infogain is None else self.infogain
        classes = self.columns[1]
        if infogain.count != classes * classes:
            raise ShapeError(f"H must be {classes}x{classes}: it has the shape {infogain.shape}.")

    def backward(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        if any(propagate_down[2:]):
            raise LayerError(f"{self.type} Layer cannot backpropagate to infogain inputs.")
        super().backward(top, propagate_down, bottom)

    def total_loss(self, bottom: Sequence[Blob], probability: Any) -> Any:
        xp = self.xp
        logarithms = xp.log(xp.maximum(probability, LOG_THRESHOLD))
        return -(self._rows(xp, bottom) * logarithms).sum(dtype=np.float64)

    def gradient(self, bottom: Sequence[Blob], probability: Any, scale: Any, diff: Any) -> None:
        xp = self.xp
        rows = self._rows(xp, bottom)
        gradient = probability * rows.sum(axis=1, keepdims=True) - rows
        diff[...] = xp.where(self.labels[:, None, :] >= 0, gradient * scale, 0)

    def _rows(self, xp: Any, bottom: Sequence[Any]) -> Any:
        """H's row of each label, zeros where it is ignored; shape (outer, classes, inner)."""
        infogain = bottom[2] if self.infogain is None else self.infogain
        matrix = infogain.data.reshape(self.columns[1], self.columns[1])
        rows = xp.where(self.labels[:, :, None] >= 0, matrix[self.labels], 0)
        return xp.moveaxis(rows, 2, 1)

    def _read_source(self) -> np.ndarray:
        param = self.param.infogain_loss_param
        if not param.HasField("source"):
            raise LayerError(
                "Infogain matrix source must be specified.",
                "infogain_loss_param { source: FILE }, a binary BlobProto, or the matrix as a third bottom.",
            )
        return read_blob(self.context.resolve(param.source), "the infogain matrix")
