"""MyLayer: soft shrinkage, scaled by a learned weight for each channel.

    top = weight[c] * sign(x) * max(|x| - threshold, 0)

The parameters are in `my_layer.proto`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bicerin import ArrayLayer, Blob, BlobCounts, LayerError, ShapeError


class MyLayerLayer(ArrayLayer):
    """Bottom: x, (N, C, ...). Top: the same shape; it may be the bottom itself. Learnable: weight, (C,).

    The arithmetic is whole-array code: on the CPU `xp` is NumPy, on the GPU CuPy.
    """

    type = "MyLayer"
    counts = BlobCounts(bottom=1, top=1)

    def layer_set_up(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        options = self.param.my_layer_param
        self.threshold: float = options.threshold
        if self.threshold < 0:
            raise LayerError(f"threshold must be 0 or more, not {self.threshold:g}.")
        if bottom[0].num_axes < 2:
            raise ShapeError(f"the bottom must have a channel axis, (N, C, ...), not {bottom[0].shape}.")
        ones = type(options.weight_filler)(type="constant", value=1)
        filler = options.weight_filler if options.HasField("weight_filler") else ones
        self.declare_blobs(((bottom[0].shape[1],), filler))
        # max(|x| - threshold, 0) with the sign of x: backward needs it, and in place the bottom is gone by then.
        self.shrunk = self.new_blob()

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        channels = self.blobs[0].count
        if bottom[0].num_axes < 2 or bottom[0].shape[1] != channels:
            raise ShapeError(f"there are weights for {channels} channels, but the bottom is {bottom[0].shape}.")
        top[0].reshape_like(bottom[0])
        self.shrunk.reshape_like(bottom[0])

    def forward_array(self, xp: Any, bottom: Sequence[Any], top: Sequence[Any]) -> None:
        x, shrunk = bottom[0].data, self.on(xp, self.shrunk).data
        xp.abs(x, out=shrunk)
        shrunk -= self.threshold
        xp.maximum(shrunk, 0, out=shrunk)
        xp.copysign(shrunk, x, out=shrunk)
        xp.multiply(shrunk, self._weight_beside(xp, x.ndim), out=top[0].data)

    def backward_array(
        self, xp: Any, top: Sequence[Any], propagate_down: Sequence[bool], bottom: Sequence[Any]
    ) -> None:
        gradient, shrunk = top[0].diff, self.on(xp, self.shrunk).data
        if self.param_propagate_down(0):
            others = tuple(axis for axis in range(shrunk.ndim) if axis != 1)
            self.weights(xp)[0].diff[...] += (gradient * shrunk).sum(axis=others)
        if propagate_down[0]:
            xp.multiply(gradient, self._weight_beside(xp, shrunk.ndim), out=bottom[0].diff)
            bottom[0].diff[...] *= shrunk != 0

    def _weight_beside(self, xp: Any, axes: int) -> Any:
        """The weights in a shape that spreads over (N, C, ...)."""
        return self.weights(xp)[0].data.reshape(-1, *[1] * (axes - 2))
