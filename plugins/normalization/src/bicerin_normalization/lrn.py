"""LRN: each value divided by the strength of its neighbours."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bicerin.device import CudaSource
from bicerin.errors import ShapeError
from bicerin.layer import Blob, BlobCounts, Layer, Phase
from bicerin_normalization import lrn_kernels as kernels


class LRNLayer(Layer):
    """top = x * (k + alpha / n * sum of x^2 over the neighbourhood)^-beta.

    The neighbourhood of a value is, with ACROSS_CHANNELS, the n = `local_size` channels around it at its pixel; with
    WITHIN_CHANNEL the n = `local_size`^2 pixels around it in its plane, and there k is 1 whatever is given. What lies
    outside counts as zeros.

    Bottom and top: `(N, C, H, W)`. Source: Krizhevsky et al., 2012; Caffe's LRNLayer.
    """

    type = "LRN"
    counts = BlobCounts(bottom=1, top=1)
    allows_in_place = False
    cuda = CudaSource(__file__, "lrn.cu")

    def layer_set_up(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        param = self.param.lrn_param
        self.across = param.norm_region == param.ACROSS_CHANNELS
        self.size: int = param.local_size
        if self.size % 2 != 1:
            raise ShapeError(f"LRN only supports odd values for local_size, not {self.size}.")
        self.rate: float = param.alpha / (self.size if self.across else self.size**2)
        self.beta: float = param.beta
        self.shift: float = param.k if self.across else 1.0
        self.empty = np.empty((0, 0, 0), self.dtype)
        self.scale = self.empty
        self.device_scale, self.ratio = self.new_blob(name="scale"), self.new_blob(name="ratio")

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        shape = bottom[0].shape
        if len(shape) != 4:
            raise ShapeError(
                f"Input must have 4 axes, corresponding to (num, channels, height, width), not {len(shape)}."
            )
        num, channels, height, width = shape
        self.aligned = (num, channels, height * width) if self.across else (num * channels, height, width)
        top[0].reshape(*shape)
        self.device_scale.reshape(*shape)
        self.ratio.reshape(*shape)

    def forward_cpu(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        # At TEST the gradient is the exception, and computes the scale itself.
        self._run(bottom[0], top[0].data, keep=self.phase is Phase.TRAIN)

    def _run(self, bottom: Blob, y: np.ndarray, keep: bool) -> None:
        if not keep:
            self.scale = self.empty
        elif self.scale.shape != self.aligned:
            self.scale = np.empty(self.aligned, self.dtype)
        run = kernels.across if self.across else kernels.within
        x = bottom.cpu_data.reshape(self.aligned)
        run(x, y.reshape(self.aligned), self.scale, self.size, self.rate, self.beta, self.shift)

    def backward_cpu(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        if not propagate_down[0]:
            return
        if self.scale.shape != self.aligned:
            self._run(bottom[0], np.empty(self.aligned, self.dtype), keep=True)
        run = kernels.across_backward if self.across else kernels.within_backward
        run(
            bottom[0].cpu_data.reshape(self.aligned),
            self.scale,
            top[0].cpu_diff.reshape(self.aligned),
            bottom[0].diff.reshape(self.aligned),
            self.size,
            self.rate,
            self.beta,
        )

    def forward_gpu(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        run = self.kernels.across if self.across else self.kernels.within
        x, y, scale = bottom[0].const_gpu_data, top[0].gpu_data, self.device_scale.gpu_data
        run(y.size, x, y, scale, *self.aligned[1:], self.size, self.rate, self.beta, self.shift)

    def backward_gpu(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        if not propagate_down[0]:
            return
        x, scale, y_diff = bottom[0].const_gpu_data, self.device_scale.const_gpu_data, top[0].const_gpu_diff
        self.kernels.ratios(x.size, x, scale, y_diff, self.ratio.gpu_data, self.beta)
        run = self.kernels.across_backward if self.across else self.kernels.within_backward
        given = (x, scale, y_diff, self.ratio.const_gpu_data)
        run(x.size, *given, bottom[0].gpu_diff, *self.aligned[1:], self.size, self.rate, self.beta)
