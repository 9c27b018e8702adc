"""ContrastiveLoss: (1 / 2N) Σ (s · d² + (1 - s) · max(margin - d, 0)²), with d = |a - b| for each pair.

- bottoms 0, 1: a and b, shape (N, C) or (N, C, 1, 1).
- bottom 2: s, shape (N,) or (N, 1, 1, 1): other than 0 for a similar pair, 0 for a dissimilar one.
- top: the loss, shape ().

With `legacy_version` a dissimilar pair costs max(margin - d², 0).

Source: Hadsell et al., "Dimensionality reduction by learning an invariant mapping", 2006; Caffe's
`ContrastiveLossLayer`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from bicerin.errors import ShapeError
from bicerin.layer import Blob, BlobCounts, LossLayer, refuse_label_gradient
from bicerin_loss.labels import require_one_label_per_image


class ContrastiveLossLayer(LossLayer):
    """Both a and b have a gradient, along a - b. Caffe adds `SMALLEST_DISTANCE` to the d that it divides by."""

    type = "ContrastiveLoss"
    counts = BlobCounts(bottom=3, top=1, auto_top=True)
    SMALLEST_DISTANCE: ClassVar[float] = 1e-4

    def layer_set_up(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        param = self.param.contrastive_loss_param
        self.margin: float = param.margin
        self.legacy: bool = param.legacy_version
        self.difference = self.new_blob(name="difference")

    def allow_force_backward(self, bottom_index: int) -> bool:
        return bottom_index != 2

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        super().reshape(bottom, top)
        channels = [blob.count_between(1) for blob in bottom[:2]]
        if channels[0] != channels[1] or any(blob.count_between(2) != 1 for blob in bottom[:2]):
            raise ShapeError(
                f"the two bottoms must have equal channels, and height and width 1: {bottom[0].shape} and "
                f"{bottom[1].shape}."
            )
        require_one_label_per_image(bottom[2])
        if bottom[2].count != bottom[0].shape[0]:
            raise ShapeError(f"{bottom[0].shape[0]} pairs need as many labels, not {bottom[2].count}.")
        self.difference.reshape(bottom[0].shape[0], channels[0])
        self.number = max(1, bottom[0].shape[0])

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        xp = self.xp
        difference = self.difference.data
        xp.subtract(bottom[0].data.reshape(difference.shape), bottom[1].data.reshape(difference.shape), out=difference)
        self.similar = xp.trunc(bottom[2].data.reshape(-1)) != 0
        self.squared_distance = (difference * difference).sum(axis=1)
        if self.legacy:
            dissimilar = xp.maximum(self.margin - self.squared_distance, 0)
        else:
            dissimilar = xp.maximum(self.margin - xp.sqrt(self.squared_distance), 0) ** 2
        losses = xp.where(self.similar, self.squared_distance, dissimilar)
        top[0].data[...] = losses.sum(dtype=np.float64) / self.number / 2

    def backward(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        xp = self.xp
        refuse_label_gradient(self.type, propagate_down[2])
        if self.legacy:
            push = xp.where(self.squared_distance < self.margin, -1, 0)
        else:
            distance = xp.sqrt(self.squared_distance)
            push = -xp.maximum(self.margin - distance, 0) / (distance + self.SMALLEST_DISTANCE)
        factor = xp.where(self.similar, 1, push) * (self.loss_gradient(top) / self.number)
        for index, sign in ((0, 1), (1, -1)):
            if propagate_down[index]:
                difference = self.difference.data
                diff = bottom[index].diff.reshape(difference.shape)
                xp.multiply(difference, (sign * factor).astype(self.dtype).reshape(-1, 1), out=diff)
