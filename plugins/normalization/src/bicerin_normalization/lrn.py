"""LRN: each value divided by the strength of its neighbours.

top = x * (k + alpha / n * sum of x^2 over the neighbourhood)^-beta.

The neighbourhood of a value is, with ACROSS_CHANNELS, the n = `local_size` channels around it at its pixel; with
WITHIN_CHANNEL the n = `local_size`^2 pixels around it in its plane, and there k is 1 whatever is given. What lies
outside counts as zeros.

Source: Krizhevsky et al., 2012; Caffe's LRNLayer.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bicerin.errors import ShapeError
from bicerin.layer import Blob, BlobCounts, Layer, Operations, Phase, image_shape


class LRNLayer(Layer):
    """Bottom and top: `(N, C, H, W)`."""

    type = "LRN"
    counts = BlobCounts(bottom=1, top=1)
    allows_in_place = False
    operations = Operations("lrn_kernels")

    def layer_set_up(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        param = self.param.lrn_param
        self.across = param.norm_region == param.ACROSS_CHANNELS
        self.size: int = param.local_size
        if self.size % 2 != 1:
            raise ShapeError(f"LRN only supports odd values for local_size, not {self.size}.")
        self.rate: float = param.alpha / (self.size if self.across else self.size**2)
        self.beta: float = param.beta
        self.shift: float = param.k if self.across else 1.0
        #: s, what is raised to -beta, of one pass. At TEST the gradient is the exception, and computes it itself.
        self.scale = self.new_blob(name="scale")
        self.keeps_scale = self.phase is Phase.TRAIN
        self.nothing = self.xp.empty((0, 0, 0), self.dtype)

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        num, channels, height, width = shape = image_shape(bottom[0])
        self.aligned = (num, channels, height * width) if self.across else (num * channels, height, width)
        top[0].reshape(*shape)
        self.scale.reshape(*self.aligned)
        #: A neighbourhood that is wider than everything there is sums up the same as one that just covers it.
        self.reach = min(self.size, 2 * max(channels if self.across else max(height, width), 1) - 1)

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        self._run(bottom, top[0].data, self.scale.data if self.keeps_scale else self.nothing)

    def _run(self, bottom: Sequence[Blob], y: Any, scale: Any) -> None:
        run = self.ops.across if self.across else self.ops.within
        x = bottom[0].data.reshape(self.aligned)
        run(x, y.reshape(self.aligned), scale, self.reach, self.rate, self.beta, self.shift)

    def backward(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        if not propagate_down[0]:
            return
        scale, x_diff = self.scale.data, bottom[0].diff.reshape(self.aligned)
        if not self.keeps_scale:
            # y goes to where the gradient will be.
            self._run(bottom, x_diff, scale)
        run = self.ops.across_backward if self.across else self.ops.within_backward
        x, y_diff = bottom[0].data.reshape(self.aligned), top[0].diff.reshape(self.aligned)
        run(x, scale, y_diff, self.scale.diff, x_diff, self.reach, self.rate, self.beta)
