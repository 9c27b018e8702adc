"""MarginInnerProduct: SphereFace's scores, whose weights have the length 1. Liu et al., "SphereFace", 2017.

y = x · w, with a margin in the angle to the own class as `margin_product` says. The rows of the blob are divided by
their length, in the blob, at each forward pass.

Two gradients are not exact, as in the fork: that of the weights is the one of y = x · w; and of the term with ψ, whose
gradient by x is a · w + b · x, the sum is divided by sqrt(a² + b²).

Source: the MarginInnerProductLayer of wy1iu/sphereface and happynear/caffe-windows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bicerin.layer import Blob
from bicerin_face.margin_product import MarginProductLayer


class MarginInnerProductLayer(MarginProductLayer):
    """Shapes as in `margin_product`. With SINGLE there is no margin, and λ does not count."""

    type = "MarginInnerProduct"

    @property
    def own_param(self) -> Any:
        return self.param.margin_inner_product_param

    def weights(self, bottom: Sequence[Blob]) -> tuple[Any, Any]:
        xp = self.xp
        w = self.writable_weights().data
        w /= xp.sqrt(xp.square(w).sum(axis=1, keepdims=True))
        return w, xp.ones(len(w), self.dtype)

    def writable_weights(self) -> Any:
        """The blob to be written, which on a device is else to be read only."""
        return self.blobs[0].blob.on(self.context.device)

    def backward(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        self.refuse(propagate_down)
        xp, y_diff = self.xp, top[0].diff
        x = bottom[0].data.reshape(self.items, self.features)
        if self.param_propagate_down(0):
            self.blobs[0].diff[...] += y_diff.T @ x
        if not propagate_down[0]:
            return
        x_diff = bottom[0].diff.reshape(x.shape)
        w = self.blobs[0].data
        if self.multiple == 1:
            xp.matmul(y_diff, w, out=x_diff)
            return
        a, b = self.slopes()
        b = b / self.x_length
        length = xp.sqrt(a * a + b * b)
        own = xp.where(self.own, y_diff, 0).sum(axis=1)
        factor = (a / length + self.share) / (1 + self.share)
        xp.matmul(xp.where(self.own, y_diff * factor[:, None], y_diff).astype(self.dtype), w, out=x_diff)
        x_diff += (own * b / length / (1 + self.share))[:, None].astype(self.dtype) * x
