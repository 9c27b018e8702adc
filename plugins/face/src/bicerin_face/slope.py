"""Slope: two more channels that say where a place is: its row / H and its column / W.

Source: the SlopeLayer of happynear/caffe-windows.
"""

from __future__ import annotations

from collections.abc import Sequence

from bicerin.errors import ShapeError
from bicerin.layer import Blob, BlobCounts, Layer


class SlopeLayer(Layer):
    """Bottom: `(N, C, H, W)`. Top: `(N, C + 2, H, W)`."""

    type = "Slope"
    counts = BlobCounts(bottom=1, top=1)
    allows_in_place = False

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        if bottom[0].num_axes != 4:
            raise ShapeError(f"planes are wanted, (N, C, H, W), not {bottom[0].shape}.")
        number, self.channels, self.height, self.width = bottom[0].shape
        top[0].reshape(number, self.channels + 2, self.height, self.width)

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        xp, y = self.xp, top[0].data
        y[:, : self.channels] = bottom[0].data
        y[:, self.channels] = xp.arange(self.height, dtype=self.dtype)[:, None] / max(1, self.height)
        y[:, self.channels + 1] = xp.arange(self.width, dtype=self.dtype) / max(1, self.width)

    def backward(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        if propagate_down[0]:
            bottom[0].diff[...] = top[0].diff[:, : self.channels]
