"""LargeMarginInnerProduct: scores with a margin in the angle to the own class. Liu et al., large-margin softmax, 2016.

y = x · w, with the margin as `margin_product` says, for weights of any length. Its gradients are exact.

Source: the LargeMarginInnerProductLayer of wy1iu/LargeMargin_Softmax_Loss and happynear/caffe-windows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bicerin.errors import ShapeError
from bicerin.layer import Blob, BlobCounts, between
from bicerin_face.margin_product import MarginProductLayer


class LargeMarginInnerProductLayer(MarginProductLayer):
    """Shapes as in `margin_product`. Bottom 2, optional: the weights, `(K, D)`, in place of the blob."""

    type = "LargeMarginInnerProduct"
    counts = BlobCounts(bottom=between(2, 3), top=between(1, 2))
    smallest = 1e-9

    @property
    def own_param(self) -> Any:
        return self.param.largemargin_inner_product_param

    def prepare_weights(self, bottom: Sequence[Blob]) -> None:
        if len(bottom) < 3:
            super().prepare_weights(bottom)

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        if len(bottom) > 2:
            self.num_output = bottom[2].num
            if bottom[2].count != self.num_output * self.features:
                raise ShapeError(f"bottom 2, the weights, must be (K, {self.features}): {bottom[2].shape}.")
        super().reshape(bottom, top)

    def weights(self, bottom: Sequence[Blob]) -> tuple[Any, Any]:
        w = self._weights(bottom)
        return w, self.xp.sqrt(self.xp.square(w).sum(axis=1))

    def _weights(self, bottom: Sequence[Blob]) -> Any:
        return bottom[2].data.reshape(-1, self.features) if len(bottom) > 2 else self.blobs[0].data

    def backward(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        self.refuse(propagate_down)
        xp, y_diff = self.xp, top[0].diff
        x, w = bottom[0].data.reshape(self.items, self.features), self._weights(bottom)
        own: Any = None
        scaled = y_diff
        if self.multiple > 1:
            a, b = self.slopes()
            factor = (a + self.share) / (1 + self.share)
            own = xp.where(self.own, y_diff, 0).sum(axis=1) * b / (1 + self.share)
            scaled = xp.where(self.own, y_diff * factor[:, None], y_diff).astype(self.dtype)
        if propagate_down[0]:
            x_diff = bottom[0].diff.reshape(x.shape)
            xp.matmul(scaled, w, out=x_diff)
            if own is not None:
                x_diff += (own * self.w_length / (self.x_length + self.smallest))[:, None].astype(self.dtype) * x
        for_bottom = len(bottom) > 2 and propagate_down[2]
        if not (for_bottom or (len(bottom) < 3 and self.param_propagate_down(0))):
            return
        w_diff = scaled.T @ x
        if own is not None:
            along = xp.where(self.own, (own * self.x_length / (self.w_length + self.smallest))[:, None], 0).sum(axis=0)
            w_diff += along[:, None].astype(self.dtype) * w
        if for_bottom:
            bottom[2].diff.reshape(w.shape)[...] = w_diff
        else:
            self.blobs[0].diff[...] += w_diff
