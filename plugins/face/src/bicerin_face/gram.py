"""Gram: how much each two channels of an image go together. Gatys et al., "A neural algorithm of artistic style", 2015.

y = x x^T / (H W C), for the matrix x of C channels and H W places.

Source: the GramLayer of happynear/caffe-windows.
"""

from __future__ import annotations

from collections.abc import Sequence

from bicerin.errors import ShapeError
from bicerin.layer import Blob, BlobCounts, CountsProducts, Layer


class GramLayer(CountsProducts, Layer):
    """Bottom: `(N, C, H, W)`. Top: `(N, C, C, 1)`."""

    type = "Gram"
    counts = BlobCounts(bottom=1, top=1)
    allows_in_place = False

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        if bottom[0].num_axes < 2:
            raise ShapeError(f"channels are wanted, (N, C, H, W), not {bottom[0].shape}.")
        self.planes = (*bottom[0].shape[:2], bottom[0].count_between(2))
        number, channels, places = self.planes
        self.factor = self.dtype.type(1 / max(1, channels * places))
        top[0].reshape(number, channels, channels, 1)

    def multiply_adds(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> int:
        number, channels, places = self.planes
        return number * channels * channels * places

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        x = bottom[0].data.reshape(self.planes)
        y = top[0].data.reshape(*self.planes[:2], self.planes[1])
        self.xp.matmul(x, x.transpose(0, 2, 1), out=y)
        y *= self.factor

    def backward(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        if propagate_down[0]:
            x, x_diff = bottom[0].data.reshape(self.planes), bottom[0].diff.reshape(self.planes)
            y_diff = top[0].diff.reshape(*self.planes[:2], self.planes[1])
            self.xp.matmul(y_diff + y_diff.transpose(0, 2, 1), x, out=x_diff)
            x_diff *= self.factor
