"""What losses of the distances between items and classes share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from bicerin.errors import ShapeError
from bicerin.layer import Blob, ChecksInputs, LossLayer, refuse_label_gradient
from bicerin_face.labels import check_labels, require_labels


class DistanceLossLayer(ChecksInputs, LossLayer):
    """Bottom 0: distances, `(N, K)`. Bottom 1: labels, N of them; a further one has a number for each item. Top 0:
    `()`. Top 1, optional: two means, `(2,)`.

    Attributes:
        rows: (N, K).
        delta: the gradient of each distance, without the loss's own and 1 / N; `forward` writes it.
    """

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

    def nearest_other(self, x: Any, own: Any) -> Any:
        """Which class is each item's nearest among the others, bool `(N, K)`."""
        xp = self.xp
        return xp.arange(self.rows[1]) == xp.argmin(xp.where(own, np.inf, x), axis=1)[:, None]

    def backward(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        refuse_label_gradient(self.type, any(propagate_down[1:]))
        if propagate_down[0]:
            scale = self.xp.asarray(self.loss_gradient(top) / max(1, self.rows[0]), self.dtype)
            self.xp.multiply(self.delta.data, scale, out=bottom[0].diff.reshape(self.rows))

    def check_inputs(self, bottom: Sequence[Any]) -> None:
        check_labels(bottom[1], self.rows[1])
