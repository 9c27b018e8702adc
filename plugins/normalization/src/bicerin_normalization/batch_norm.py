"""BatchNorm: normalization of each channel by the mean and variance of the batch, or by those of training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bicerin.errors import LayerError, ShapeError
from bicerin.kernels import Affine
from bicerin.layer import ActsAffinely, Blob, BlobCounts, Layer, Operations, Phase


class BatchNormLayer(ActsAffinely, Layer):
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
    operations = Operations("batch_norm_kernels")

    def layer_set_up(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        param = self.param.batch_norm_param
        self.moving_average_fraction: float = param.moving_average_fraction
        self.use_global_stats: bool = (
            param.use_global_stats if param.HasField("use_global_stats") else self.phase is Phase.TEST
        )
        self.eps: float = param.eps
        self.channels = self._channels(bottom[0])
        shapes = ((self.channels,), (self.channels,), (1,))
        self.declare_blobs(*((shape, None) for shape in shapes), learned=False)
        for index in range(len(self.blobs)):
            if index == len(self.param.param):
                self.param.param.add(lr_mult=0)
            elif self.param.param[index].lr_mult != 0:
                raise LayerError(
                    "Cannot configure batch normalization statistics as layer parameters: "
                    f"param {index} has lr_mult {self.param.param[index].lr_mult:g}.",
                    "The statistics are averages, not learned: remove the param entries, or give lr_mult: 0.",
                )
        #: Of each channel: mean, variance, and 1 / sqrt(variance + eps).
        self.statistics = self.new_blob((3, self.channels), "statistics")
        #: Of each channel: the means of top's gradient, and of its product with top.
        self.gradient_means = self.new_blob((2, self.channels), "gradient_means")
        #: In place, the top before a later layer overwrote it.
        self.normalized = self.new_blob(name="normalized")

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
            self.normalized.reshape(*self.aligned)

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        if not bottom[0].count:
            return
        x, y = bottom[0].data.reshape(self.aligned), top[0].data.reshape(self.aligned)
        if self.use_global_stats:
            self.ops.normalize(x, *self._global_statistics(), y)
            return
        mean, variance, inverse = self.statistics.data
        self.ops.batch_norm(x, y, mean, variance, inverse, self.eps)
        if bottom[0] is top[0]:
            # What follows may work in place too, so that neither x nor y will be there for the gradient.
            self.normalized.data[...] = y
        count = bottom[0].count // self.channels
        unbiased = count / (count - 1) if count > 1 else 1.0
        self.ops.accumulate(mean, variance, self.moving_average_fraction, unbiased, *(b.data for b in self.blobs))

    def affine(self) -> Affine | None:
        if not self.use_global_stats:
            return None
        mean, inverse = self._global_statistics()
        return Affine(1, inverse, -mean * inverse)

    def _global_statistics(self) -> tuple[Any, Any]:
        """The mean of each channel, and 1 / sqrt(variance + eps), of all batches of training."""
        mean, _, inverse = self.statistics.data
        means, variances, weight = self.blobs
        self.ops.global_statistics(means.data, variances.data, weight.data, mean, inverse, self.eps)
        return mean, inverse

    def backward(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        if not propagate_down[0] or not bottom[0].count:
            return
        y_diff, x_diff = top[0].diff.reshape(self.aligned), bottom[0].diff.reshape(self.aligned)
        mean, _, inverse = self.statistics.data
        if self.use_global_stats:
            self.ops.multiply(y_diff, inverse, x_diff)
            return
        in_place = bottom[0] is top[0]
        x = self.normalized.data if in_place else bottom[0].data.reshape(self.aligned)
        self.ops.batch_norm_backward(x, y_diff, mean, inverse, in_place, self.gradient_means.data, x_diff)
