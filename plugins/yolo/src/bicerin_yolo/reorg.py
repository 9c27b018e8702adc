"""Reorg: pixels that lie side by side become maps. Redmon and Farhadi, YOLO9000, 2017.

With s = `stride`, and the bottom read as if its shape were (N, C / s^2, H s, W s), whatever it is:

    top[n, (s i + j) C / s^2 + c, h, w] = bottom[n, c, s h + i, s w + j]

With `reverse` bottom and top change places. The order of the pixels is not that of the image, since the shape that is
read is not the bottom's: nets were trained with this order, a mistake of darknet's that all have kept.

Source: the ReorgLayer of caffe-yolov2 and MobileNet-YOLO. On the CPU their gradient is 0; here it is the true one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bicerin.errors import LayerError, ShapeError
from bicerin.layer import Blob, BlobCounts, Layer


class ReorgLayer(Layer):
    """Bottom: `(N, C, H, W)`, C a multiple of s^2. Top: `(N, C s^2, H / s, W / s)`, or with `reverse`
    `(N, C / s^2, H s, W s)`.
    """

    type = "Reorg"
    counts = BlobCounts(bottom=1, top=1)
    allows_in_place = False

    def layer_set_up(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        param = self.param.reorg_param
        self.stride: int = param.stride
        self.reverse: bool = param.reverse
        if self.stride < 1:
            raise LayerError("stride must be > 0", "reorg_param { stride: 2 } makes 4 maps of one.")

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        if bottom[0].num_axes != 4:
            raise ShapeError(f"the bottom must have the shape (N, C, H, W), not {bottom[0].shape}.")
        number, channels, height, width = bottom[0].shape
        s = self.stride
        if channels % (s * s):
            raise ShapeError(f"the number of channels must be a multiple of stride^2 = {s * s}, not {channels}.")
        if not self.reverse and (height % s or width % s):
            raise ShapeError(f"height and width must be multiples of stride = {s}, not {height} and {width}.")
        few = channels // (s * s)
        #: Of the side with more maps, and of the one with more pixels, with an axis for each that is moved.
        self.maps = (number, s, s, few, height, width)
        self.pixels = (number, few, height, s, width, s)
        if self.reverse:
            top[0].reshape(number, few, height * s, width * s)
        else:
            top[0].reshape(number, channels * s * s, height // s, width // s)

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        if self.reverse:
            self._to_pixels(bottom[0].data, top[0].data)
        else:
            self._to_maps(bottom[0].data, top[0].data)

    def backward(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        if propagate_down[0]:
            if self.reverse:
                self._to_maps(top[0].diff, bottom[0].diff)
            else:
                self._to_pixels(top[0].diff, bottom[0].diff)

    def _to_maps(self, pixels: Any, maps: Any) -> None:
        maps.reshape(self.maps)[...] = pixels.reshape(self.pixels).transpose(0, 3, 5, 1, 2, 4)

    def _to_pixels(self, maps: Any, pixels: Any) -> None:
        pixels.reshape(self.pixels)[...] = maps.reshape(self.maps).transpose(0, 3, 4, 1, 5, 2)
