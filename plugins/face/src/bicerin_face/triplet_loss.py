"""TripletLoss: an item shall be nearer to one of its class than to one of another. Schroff et al., 2015.

top = Σ max(margin + |a - p|² - |a - n|², 0) / 2N, for N anchors a, items p of their classes and n of others.

Source: the TripletLossLayer of happynear/caffe-windows.
"""

from __future__ import annotations

from collections.abc import Sequence

from bicerin.errors import ShapeError
from bicerin.layer import Blob, BlobCounts, LossLayer

#: What is less counts as 0.
SMALLEST = 1e-9


class TripletLossLayer(LossLayer):
    """Bottoms: a, p and n, `(N, ...)`, one shape. Top: `()`. Triplets that keep the margin have no gradient."""

    type = "TripletLoss"
    counts = BlobCounts(bottom=3, top=1, auto_top=True)

    def allow_force_backward(self, bottom_index: int) -> bool:
        return True

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        if len({blob.shape for blob in bottom}) > 1 or not bottom[0].num_axes:
            raise ShapeError(f"anchors, positives and negatives must have one shape: {[b.shape for b in bottom]}.")
        self.rows = (bottom[0].shape[0], bottom[0].count_between(1))
        top[0].reshape()

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        xp = self.xp
        a, p, n = (blob.data.reshape(self.rows) for blob in bottom)
        near, far = xp.square(a - p).sum(axis=1), xp.square(a - n).sum(axis=1)
        terms = xp.maximum(self.param.triplet_loss_param.margin + near - far, 0)
        self.active = (terms >= SMALLEST).astype(self.dtype)[:, None]
        top[0].data[...] = terms.sum() / max(1, 2 * len(terms))

    def backward(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        a, p, n = (blob.data.reshape(self.rows) for blob in bottom)
        scale = self.active * self.xp.asarray(self.loss_gradient(top) / max(1, self.rows[0]), self.dtype)
        for index, (one, other) in enumerate(((n, p), (p, a), (a, n))):
            if propagate_down[index]:
                self.xp.multiply(one - other, scale, out=bottom[index].diff.reshape(self.rows))
