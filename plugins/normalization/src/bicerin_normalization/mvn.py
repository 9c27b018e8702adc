"""MVN: mean and variance normalization of each plane or image.

top = (x - mean(x)) / (std(x) + eps), over each plane `(H, W)`, or with `across_channels` over each image.

Without `normalize_variance`, top = x - mean(x).

Source: Caffe's MVNLayer; as there, the gradient is that of eps = 0: (g - mean(g) - top * mean(g * top)) / (std(x) +
eps), for g = the gradient of top.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bicerin.errors import ShapeError
from bicerin.layer import Blob, BlobCounts, Layer, ReadsTops, TopValues


class MVNLayer(ReadsTops, Layer):
    """Bottom: up to 4 axes. Top: `(N, C, H, W)`, where axes that the bottom lacks are 1. In place is allowed, and
    gives the bottom that shape too.
    """

    type = "MVN"
    counts = BlobCounts(bottom=1, top=1)

    def layer_set_up(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        param = self.param.mvn_param
        self.normalize_variance: bool = param.normalize_variance
        self.across_channels: bool = param.across_channels
        self.eps: float = param.eps
        self.std: Any = None

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        blob = bottom[0]
        if blob.num_axes > 4:
            raise ShapeError(f"MVN is for blobs of up to 4 axes (num, channels, height, width), not {blob.num_axes}.")
        rows = blob.num if self.across_channels else blob.num * blob.channels
        self.rows = (rows, blob.count // rows if rows else 0)
        top[0].reshape(blob.num, blob.channels, blob.height, blob.width)

    def reads_in_tops(self) -> TopValues:
        return TopValues.ALL if self.normalize_variance else TopValues.NONE

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        xp = self.xp
        if not bottom[0].count:
            return
        x, y = bottom[0].data.reshape(self.rows), top[0].data.reshape(self.rows)
        xp.subtract(x, x.mean(axis=1, keepdims=True), out=y)
        if self.normalize_variance:
            self.std = xp.sqrt((y * y).mean(axis=1, keepdims=True)) + self.eps
            xp.divide(y, self.std, out=y)

    def backward(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        xp = self.xp
        if not propagate_down[0] or not bottom[0].count:
            return
        y, y_diff = top[0].data.reshape(self.rows), top[0].diff.reshape(self.rows)
        x_diff = bottom[0].diff.reshape(self.rows)
        mean = y_diff.mean(axis=1, keepdims=True)
        if self.normalize_variance:
            along = y * (y_diff * y).mean(axis=1, keepdims=True)
            xp.subtract(y_diff, mean, out=x_diff)
            x_diff -= along
            x_diff /= self.std
        else:
            xp.subtract(y_diff, mean, out=x_diff)
