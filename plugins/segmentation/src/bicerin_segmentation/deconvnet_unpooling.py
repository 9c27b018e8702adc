"""Unpooling: pixels go back to where a pooling took them from, or fill windows of the top.

- bottom 0: `(N, C, H, W)`. Bottom 1, with `unpool: MAX` alone: a mask of the same shape, as the second top of a Pooling
  layer: places in a plane of the top, y · W' + x. It has no gradient.
- top: `(N, C, unpool_h, unpool_w)`, both `unpool_size` where that is given.

`unpool` says what becomes of a pixel, whose window begins at (h stride, w stride) and ends where the top ends:

- MAX: it goes to the place that the mask says, or without a mask to the first of its window, of the top if the window
  is outside; the other places are 0, and of several pixels in one place the last stays. Kernel and stride have no
  effect with a mask, the kernel none without.
- AVE: a share is added to each place of its window, divided by the window's size.
- TILE: it is added to each place of its window. As in the fork, the gradient is the mean over the window, not the sum.

Source: Noh, Hong and Han, "Learning Deconvolution Network for Semantic Segmentation", 2015; the UnpoolingLayer of
HyeonwooNoh/caffe, in whose old format it is `layers { type: UNPOOLING }`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bicerin.errors import LayerError
from bicerin.layer import Blob, enum_name, image_shape
from bicerin_mobile.upsample import UpsampleLayer
from bicerin_segmentation.unpooling import window_sides

METHODS = ("MAX", "AVE", "TILE")


class DeconvNetUnpoolingLayer(UpsampleLayer):
    """The gradient of a pixel is that of its place, or the mean over its window."""

    type = "Unpooling"

    def layer_set_up(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        param = self.param.unpooling_param
        self.method = enum_name(param, "unpool", METHODS) if param.HasField("unpool") else "MAX"
        self.kernel = window_sides(param, "kernel", "kernel_size")
        self.stride = window_sides(param, "stride", "stride")
        if any(window_sides(param, "pad", "pad")):
            raise LayerError("pad must be 0: padding is not known to Unpooling.")
        high, wide = window_sides(param, "unpool", "unpool_size")
        self.size = self.large_sides = (high, wide)
        self.made_for: list[int] = []
        self.masked = len(bottom) == 2
        if self.masked:
            if self.method != "MAX":
                raise LayerError(f"a mask is for unpool: MAX; {self.method} takes 1 bottom.")
            self.source = self.new_blob(name="source", dtype=np.int32)
            return
        #: What becomes of rows and of columns, and with what their gradients come back.
        self.down, self.across, self.up, self.back = (
            self.new_blob(name=name) for name in ("down", "across", "up", "back")
        )

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        if self.masked:
            super().reshape(bottom, top)
            return
        number, channels, *sides = image_shape(bottom[0])
        top[0].reshape(number, channels, *self.large_sides)
        if self.made_for == sides:
            return
        self.made_for = sides
        back = "AVE" if self.method == "TILE" else self.method
        for method, blobs in ((self.method, (self.down, self.across)), (back, (self.up, self.back))):
            for blob, *window in zip(blobs, sides, self.large_sides, self.kernel, self.stride, strict=True):
                matrix = window_matrix(method, *window)
                blob.reshape(*matrix.shape)
                blob.data[...] = self.xp.asarray(matrix, blob.dtype)

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        if self.masked:
            super().forward(bottom, top)
            return
        rows = self.xp.matmul(self.down.data, bottom[0].data)
        self.xp.matmul(rows, self.across.data.T, out=top[0].data)

    def backward(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        if self.masked:
            super().backward(top, propagate_down, bottom)
        elif propagate_down[0]:
            rows = self.xp.matmul(self.up.data.T, top[0].diff)
            self.xp.matmul(rows, self.back.data, out=bottom[0].diff)


def window_matrix(method: str, size: int, length: int, kernel: int, stride: int) -> np.ndarray:
    """What becomes of `size` pixels along one axis, on `length` places: shape `(length, size)`."""
    matrix = np.zeros((length, size))
    begin = np.arange(size) * stride
    places = np.arange(length)[:, None]
    if method == "MAX":
        first = np.minimum(begin, length - 1)
        last = np.full(length, -1)
        last[first] = np.arange(size)
        matrix[last >= 0, last[last >= 0]] = 1
        return matrix
    matrix[(places >= begin) & (places < begin + kernel)] = 1
    if method == "AVE":
        matrix /= np.maximum(matrix.sum(axis=0), 1)
    return matrix
