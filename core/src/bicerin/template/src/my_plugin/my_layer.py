"""MyLayer: soft shrinkage, scaled by a learned weight for each channel.

    top = weight[c] * sign(x) * max(|x| - threshold, 0)

The parameters are in `my_layer.proto`, the arithmetic in `my_layer_kernels.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bicerin import Blob, BlobCounts, Layer, LayerError, Operations, ShapeError


class MyLayerLayer(Layer):
    """Bottom: x, (N, C, ...). Top: the same shape; it may be the bottom itself. Learnable: weight, (C,)."""

    type = "MyLayer"
    counts = BlobCounts(bottom=1, top=1)
    operations = Operations("my_layer_kernels")

    def layer_set_up(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        options = self.param.my_layer_param
        self.threshold: float = options.threshold
        if self.threshold < 0:
            raise LayerError(f"threshold must be 0 or more, not {self.threshold:g}.")
        if bottom[0].num_axes < 2:
            raise ShapeError(f"the bottom must have a channel axis, (N, C, ...), not {bottom[0].shape}.")
        ones = type(options.weight_filler)(type="constant", value=1)
        filler = options.weight_filler if options.HasField("weight_filler") else ones
        self.declare_blobs((bottom[0].shape[1:2], filler))
        # sign(x) * max(|x| - threshold, 0): backward needs it, and in place the bottom is gone by then.
        self.shrunk = self.new_blob()

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        if bottom[0].shape[1:2] != self.blobs[0].shape:
            channels = self.blobs[0].count
            raise ShapeError(f"there are weights for {channels} channels, but the bottom is {bottom[0].shape}.")
        top[0].reshape_like(bottom[0])
        #: (N, C, the rest).
        self.rows = (*bottom[0].shape[:2], bottom[0].count_between(2))
        self.shrunk.reshape(*self.rows)

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        x, y = self._rows(bottom[0].data), self._rows(top[0].data)
        self.ops.shrink(x, self.blobs[0].data, self.threshold, self.shrunk.data, y)

    def backward(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        y_diff = self._rows(top[0].diff)
        self.add_gradient(0, self.ops.weight_gradient, self.shrunk.data, y_diff)
        if propagate_down[0]:
            self.ops.shrink_backward(self.shrunk.data, self.blobs[0].data, y_diff, self._rows(bottom[0].diff))

    def _rows(self, array: Any) -> Any:
        return array.reshape(self.rows)
