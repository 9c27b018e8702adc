"""MyLayer: soft shrinkage, scaled by a learned weight for each channel.

    top = weight[c] * sign(x) * max(|x| - threshold, 0)

The parameters are in `my_layer.proto`, the GPU's kernels in `my_layer.cu`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bicerin import Blob, BlobCounts, Layer, LayerError, ShapeError
from bicerin.device import CudaSource


class MyLayerLayer(Layer):
    """Bottom: x, (N, C, ...). Top: the same shape; it may be the bottom itself. Learnable: weight, (C,)."""

    type = "MyLayer"
    counts = BlobCounts(bottom=1, top=1)
    cuda = CudaSource(__file__, "my_layer.cu")

    def layer_set_up(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        options = self.param.my_layer_param
        self.threshold: float = options.threshold
        if self.threshold < 0:
            raise LayerError(f"threshold must be 0 or more, not {self.threshold:g}.")
        self._require_channels(bottom[0])
        self.channels = bottom[0].shape[1]
        ones = type(options.weight_filler)(type="constant", value=1)
        filler = options.weight_filler if options.HasField("weight_filler") else ones
        self.declare_blobs(((self.channels,), filler))
        # sign(x) * max(|x| - threshold, 0), (N, C, ...): backward needs it, and in place the bottom is gone by then.
        self.shrunk = self.new_blob()

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        self._require_channels(bottom[0])
        if bottom[0].shape[1] != self.channels:
            raise ShapeError(f"there are weights for {self.channels} channels, but the bottom is {bottom[0].shape}.")
        top[0].reshape_like(bottom[0])
        self.shrunk.reshape_like(bottom[0])
        #: (N, C, the rest).
        self.rows = (bottom[0].shape[0], self.channels, bottom[0].count_between(2))

    # On the CPU: NumPy

    def forward_cpu(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        x, shrunk = bottom[0].cpu_data, self.shrunk.data
        np.abs(x, out=shrunk)
        shrunk -= self.threshold
        np.maximum(shrunk, 0, out=shrunk)
        np.copysign(shrunk, x, out=shrunk)
        np.multiply(shrunk.reshape(self.rows), self._weight(), out=top[0].data.reshape(self.rows))

    def backward_cpu(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        shrunk, gradient = self.shrunk.cpu_data.reshape(self.rows), top[0].cpu_diff.reshape(self.rows)
        if self.param_propagate_down(0):
            self.blobs[0].diff[...] += (gradient * shrunk).sum(axis=(0, 2))
        if propagate_down[0]:
            down = bottom[0].diff.reshape(self.rows)
            np.multiply(gradient, self._weight(), out=down)
            down *= shrunk != 0

    def _weight(self) -> np.ndarray:
        """The weights, (C, 1), which spread over the rows."""
        return self.blobs[0].cpu_data[:, np.newaxis]

    # On the GPU: CUDA C

    def forward_gpu(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        x, weight = bottom[0].const_gpu_data, self.blobs[0].const_gpu_data
        _, channels, inner = self.rows
        shrunk, y = self.shrunk.gpu_data, top[0].gpu_data
        self.kernels.forward(x.size, x, weight, shrunk, y, self.threshold, channels, inner)

    def backward_gpu(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        shrunk, gradient = self.shrunk.const_gpu_data, top[0].const_gpu_diff
        outer, channels, inner = self.rows
        if self.param_propagate_down(0):
            weight_diff = self.blobs[0].gpu_diff
            self.kernels.weight_gradient.blocks(channels, shrunk, gradient, weight_diff, outer, channels, inner)
        if propagate_down[0]:
            weight, down = self.blobs[0].const_gpu_data, bottom[0].gpu_diff
            self.kernels.backward(shrunk.size, shrunk, weight, gradient, down, channels, inner)

    @staticmethod
    def _require_channels(bottom: Blob) -> None:
        if bottom.num_axes < 2:
            raise ShapeError(f"the bottom must have a channel axis, (N, C, ...), not {bottom.shape}.")
