"""BatchNorm: normalization of each channel by the mean and variance of the batch, or by those of training."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bicerin.device import CudaSource
from bicerin.errors import LayerError, ShapeError
from bicerin.kernels import Affine
from bicerin.layer import Blob, BlobCounts, Layer, Phase
from bicerin_normalization import batch_norm_kernels as kernels


class BatchNormLayer(Layer):
    """top = (x - mean) / sqrt(variance + eps), per channel (axis 1).

    Mean and variance are those of the batch, or with `use_global_stats` (by default at TEST) those of `blobs`:
    sums of the means (0) and unbiased variances (1) of all batches, each older one `moving_average_fraction` times as
    heavy as the next, and the sum of these weights (2), which both are divided by. The solver must leave the blobs
    alone: their `lr_mult` is 0, and any other in the prototxt is an error.

    Bottom and top: `(N, C, ...)`, or `(N,)` as one channel. In place is allowed, at the price of a copy of top for the
    gradient. Source: Ioffe and Szegedy, 2015; Caffe's BatchNormLayer.
    """

    type = "BatchNorm"
    counts = BlobCounts(bottom=1, top=1)
    cuda = CudaSource(__file__, "batch_norm.cu")

    def layer_set_up(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        param = self.param.batch_norm_param
        self.moving_average_fraction: float = param.moving_average_fraction
        self.use_global_stats: bool = (
            param.use_global_stats if param.HasField("use_global_stats") else self.phase is Phase.TEST
        )
        self.eps: float = param.eps
        self.channels = self._channels(bottom[0])
        self.declare_blobs(((self.channels,), None), ((self.channels,), None), ((1,), None))
        for index in range(len(self.blobs)):
            self.set_param_propagate_down(index, False)
            if index == len(self.param.param):
                self.param.param.add(lr_mult=0)
            elif self.param.param[index].lr_mult != 0:
                raise LayerError(
                    "Cannot configure batch normalization statistics as layer parameters: "
                    f"param {index} has lr_mult {self.param.param[index].lr_mult:g}.",
                    "The statistics are averages, not learned: leave the param entries away, or give lr_mult: 0.",
                )
        self.mean = np.zeros(self.channels, self.dtype)
        self.variance = np.zeros(self.channels, self.dtype)
        self.inverse = np.zeros(self.channels, self.dtype)
        self.zeros = np.zeros(self.channels, self.dtype)
        self.ones = np.ones(self.channels, self.dtype)
        self.normalized = np.empty(0, self.dtype)
        #: Per channel, on a device: mean, variance and inverse, then offset and slope of the gradient.
        self.statistics = [self.new_blob((self.channels,)) for _ in range(5)]
        self.device_normalized = self.new_blob(name="normalized")

    @staticmethod
    def _channels(blob: Blob) -> int:
        if not blob.num_axes:
            raise ShapeError("a scalar has no batch to normalize over; the bottom must be (N, C, ...).")
        return blob.shape[1] if blob.num_axes > 1 else 1

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        blob = bottom[0]
        if self._channels(blob) != self.channels:
            raise ShapeError(f"it was set up for {self.channels} channels, but the bottom has {self._channels(blob)}.")
        self.aligned = (blob.shape[0], self.channels, blob.count_between(2))
        top[0].reshape(*blob.shape)
        if blob is top[0] and not self.use_global_stats:
            self.device_normalized.reshape(*self.aligned)
            if self.device.is_host and self.normalized.shape != self.aligned:
                self.normalized = np.empty(self.aligned, self.dtype)

    def forward_cpu(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        if not bottom[0].count:
            return
        x, y = bottom[0].cpu_data.reshape(self.aligned), top[0].data.reshape(self.aligned)
        planes = self.aligned[2] > 1  # else NumPy, which runs along the channels, is faster
        if self.use_global_stats:
            self._read_statistics()
            (kernels.normalize if planes else kernels.normalize_reference)(x, self.mean, self.inverse, y)
            return
        run = kernels.batch_norm if planes else kernels.batch_norm_reference
        run(x, y, self.mean, self.variance, self.inverse, self.eps)
        if bottom[0] is top[0]:
            # What follows may work in place too, so that neither x nor y will be there for the gradient.
            self.normalized[...] = y
        count = bottom[0].count // self.channels
        unbiased = count / (count - 1) if count > 1 else 1.0
        for blob, values, weight in zip(
            self.blobs, (self.mean, self.variance, self.ones[:1]), (1.0, unbiased, 1.0), strict=True
        ):
            blob.data[...] = self.moving_average_fraction * blob.data + weight * values

    def _read_statistics(self) -> None:
        weight = float(self.blobs[2].cpu_data[0])
        factor = 1 / weight if weight else 0.0
        np.multiply(self.blobs[0].cpu_data, factor, out=self.mean)
        np.multiply(self.blobs[1].cpu_data, factor, out=self.variance)
        np.divide(1, np.sqrt(self.variance + self.dtype.type(self.eps)), out=self.inverse)

    def affine(self) -> Affine | None:
        if not self.use_global_stats:
            return None
        self._read_statistics()
        return Affine(1, self.inverse, -self.mean * self.inverse)

    def backward_cpu(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        if not propagate_down[0] or not bottom[0].count:
            return
        y_diff, x_diff = top[0].cpu_diff.reshape(self.aligned), bottom[0].diff.reshape(self.aligned)
        planes = self.aligned[2] > 1
        if self.use_global_stats:
            (kernels.normalize if planes else kernels.normalize_reference)(y_diff, self.zeros, self.inverse, x_diff)
            return
        run = kernels.batch_norm_backward if planes else kernels.batch_norm_backward_reference
        if bottom[0] is top[0]:
            run(self.normalized, self.zeros, self.ones, self.inverse, y_diff, x_diff)
        else:
            x = bottom[0].cpu_data.reshape(self.aligned)
            run(x, self.mean, self.inverse, self.inverse, y_diff, x_diff)

    def forward_gpu(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        if not bottom[0].count:
            return
        x, sizes = bottom[0].const_gpu_data, self.aligned[1:]
        mean, variance, inverse = (blob.gpu_data for blob in self.statistics[:3])
        if self.use_global_stats:
            blobs = (blob.const_gpu_data for blob in self.blobs)
            self.kernels.global_statistics(self.channels, *blobs, mean, inverse, self.eps)
        else:
            self.kernels.batch_statistics.blocks(self.channels, x, mean, variance, inverse, *self.aligned, self.eps)
            count = bottom[0].count // self.channels
            unbiased = count / (count - 1) if count > 1 else 1.0
            blobs = (blob.gpu_data for blob in self.blobs)
            self.kernels.accumulate(self.channels, mean, variance, self.moving_average_fraction, unbiased, *blobs)
        self.kernels.normalize(x.size, x, mean, inverse, top[0].gpu_data, *sizes)
        if bottom[0] is top[0] and not self.use_global_stats:
            self.device_normalized.gpu_data[...] = top[0].const_gpu_data.reshape(self.aligned)

    def backward_gpu(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        if not propagate_down[0] or not bottom[0].count:
            return
        in_place, sizes = bottom[0] is top[0], self.aligned[1:]
        y_diff, x_diff = top[0].const_gpu_diff, bottom[0].gpu_diff
        mean, _, inverse, offset, slope = (blob.gpu_data for blob in self.statistics)
        if self.use_global_stats:
            self.kernels.scale_backward(x_diff.size, y_diff, inverse, x_diff, *sizes)
            return
        x = (self.device_normalized if in_place else bottom[0]).const_gpu_data
        given = (x, y_diff, mean, inverse, in_place, offset, slope)
        self.kernels.gradient_means.blocks(self.channels, *given, *self.aligned)
        self.kernels.batch_backward(x_diff.size, *given, x_diff, *sizes)
