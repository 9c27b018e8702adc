"""SoftmaxWithLoss: -log p, where p is the softmax that bottom 0 gives to the class of the label.

Bottoms, tops, `ignore_label` and `normalization` as in `probability_loss_layer`; the classes are along
`softmax_param.axis`, by default 1. p is taken to be at least FLT_MIN, so the loss of one label is at most 87.3.

Of Caffe's forks:

- bottom 2, optional: a weight for each label, which its term counts with; it has no gradient. `softmax_param
  { class_weight }`, one number a class, multiplies them. VALID divides by the sum of the weights, at least 1; the
  gradient by that without the weights of classes (happynear, Intel).
- top 2, optional: the loss of each label, shape of bottom 1, without gradient (R-FCN).
- `loss_param { weight_by_label_freqs class_weighting }`: weights of classes, unknown to the divisor (SegNet).
- `loss_param { label_smoothing }`: with ε, the gradient is that for the label's class at 1 - ε and each of K classes
  else at ε / K; the loss stays that of the label alone (Intel).

Source: Caffe's `SoftmaxWithLossLayer` and those of the forks named.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from bicerin.errors import LayerError, ShapeError
from bicerin.layer import Blob, BlobCounts, between
from bicerin_loss.probability_loss_layer import ProbabilityLossLayer

FLT_MIN = float(np.finfo(np.float32).tiny)


class SoftmaxWithLossLayer(ProbabilityLossLayer):
    """The gradient with respect to the scores is the softmax, less 1 at the label's class, times the label's weight."""

    type = "SoftmaxWithLoss"
    counts = BlobCounts(bottom=between(2, 3), top=between(1, 3), auto_top=True)
    axis_name = "softmax"

    @property
    def class_axis(self) -> int:
        axis: int = self.param.softmax_param.axis
        return axis

    def allow_force_backward(self, bottom_index: int) -> bool:
        return bottom_index == 0

    def layer_set_up(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        super().layer_set_up(bottom, top)
        param = self.param.loss_param
        #: Weights of classes that the divisor does not know, and those that it does; None for 1.
        self.class_weighting = self._array(param.class_weighting) if param.weight_by_label_freqs else None
        kind = self.param.softmax_param.normalize_type
        if kind != "Softmax":
            raise LayerError(
                f'normalize_type: "{kind}" is not known to this layer, "Softmax" is: with any other the fork '
                "does not follow the gradient of its loss."
            )
        given = self.param.softmax_param.class_weight
        if given and len(bottom) < 3:
            raise LayerError("class_weight needs a third bottom, the weights of the labels.")
        self.class_weight = self._array(given) if given else None
        self.smoothing: float = param.label_smoothing
        if not 0 <= self.smoothing < 1:
            raise LayerError(f"label_smoothing must be at least 0 and less than 1, not {self.smoothing:g}.")

    def _array(self, numbers: Any) -> Any:
        return self.xp.asarray(np.array(numbers, self.dtype))

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        super().reshape(bottom, top)
        for weights, what in (
            (self.class_weighting, "weight_by_label_freqs needs a class_weighting"),
            (self.class_weight, "there must be a class_weight"),
        ):
            if weights is not None and len(weights) != self.columns[1]:
                raise ShapeError(f"{what} for each of the {self.columns[1]} classes; there are {len(weights)}.")
        if len(bottom) > 2:
            self.require_weights(bottom)
        if len(top) > 2:
            top[2].reshape_like(bottom[1])

    def require_weights(self, bottom: Sequence[Blob]) -> None:
        """Raise a `ShapeError` unless bottom 2 has a weight for each label."""
        if bottom[2].count != bottom[1].count:
            raise ShapeError(f"there must be a weight for each of the {bottom[1].count} labels: {bottom[2].count}.")

    def weigh(self, bottom: Sequence[Blob]) -> None:
        #: (outer, inner), 0 where a label is ignored; None for 1.
        self.weights: Any = None
        if len(bottom) > 2:
            valid = self.labels >= 0
            self.weights = bottom[2].data.reshape(self.labels.shape) * valid
            if self.normalization == "VALID":
                self.gradient_divisor = self._sum(self.weights)
            if self.class_weight is not None:
                self.weights *= self.class_weight[self.labels]
            if self.normalization == "VALID":
                self.divisor = self._sum(self.weights)
        if self.class_weighting is not None:
            weights = self.class_weighting[self.labels]
            self.weights = weights * (self.labels >= 0) if self.weights is None else self.weights * weights

    def _sum(self, weights: Any) -> Any:
        """At least 1, and NaN where a label is wrong, as the divisor is then."""
        return (self.xp.maximum(weights.sum(dtype=np.float64), 1) + 0 * self.divisor).astype(self.dtype)

    def total_loss(self, bottom: Sequence[Blob], probability: Any) -> Any:
        if self.weights is None:
            return self.ops.logarithm_loss(probability, self.labels, FLT_MIN)
        return (self.weights * self._losses(probability)).sum(dtype=np.float64)

    def _losses(self, probability: Any) -> Any:
        """(outer, inner): of each label, 0 where it is ignored."""
        xp = self.xp
        chosen = xp.take_along_axis(probability, xp.maximum(self.labels, 0)[:, None, :], axis=1)[:, 0, :]
        return xp.where(self.labels >= 0, -xp.log(xp.maximum(chosen, FLT_MIN)), 0)

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        super().forward(bottom, top)
        if len(top) > 2:
            top[2].data[...] = self._losses(self.probability.data.reshape(self.columns)).reshape(top[2].shape)

    def gradient(self, bottom: Sequence[Blob], probability: Any, scale: Any, diff: Any) -> None:
        self.ops.logarithm_loss_backward(probability, self.labels, scale, diff)
        if self.smoothing:
            xp = self.xp
            share = self.smoothing / self.columns[1]
            own = self.labels[:, None, :] == xp.arange(self.columns[1])[:, None]
            change = own * (self.smoothing + share) - share * (probability + 1)
            diff += xp.where(self.labels[:, None, :] >= 0, change * scale, 0)
        if self.weights is not None:
            diff *= self.weights[:, None, :]
