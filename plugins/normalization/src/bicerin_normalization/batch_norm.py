"""BatchNorm: normalization of each channel by the mean and variance of the batch, or by those of training.

top = (x - mean) / sqrt(variance + eps), per channel (axis 1).

Mean and variance are those of the batch, or with `use_global_stats` (by default at TEST) those of `blobs`: sums of the
means (0) and unbiased variances (1) of all batches, each older one `moving_average_fraction` times as heavy as the
next, and the sum of these weights (2), which both are divided by. The solver must leave the blobs alone: their
`lr_mult` is 0, and any other in the prototxt is an error.

With `scale_bias` or a filler for either, of NVIDIA's fork, or `use_weight_bias: true` or `filler`, of Intel's, top is
that times a scale (3) plus a shift (4, unless `bias_term: false`) of each channel, both learned. As there, `filler`
asks for nothing where there are three `param` entries.

With `disable_mean`, of happynear's fork, nothing is subtracted, and the variance is the mean of the squares; with
`disable_variance` nothing is divided by. The average that is not needed stays as it is, and the default of
`moving_average_fraction` is 0.99, as there.

With `stats_batch_size`, of Intel's fork, every so many images of the batch are normalized by their own mean and
variance, which the running sums take in one after the other. With `relu`, of the same fork, top is max(0, that); its
gradient, which the fork leaves out, is 0 where top is.

Source: Ioffe and Szegedy, 2015; Caffe's BatchNormLayer and those of the forks named.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bicerin.device import Memory
from bicerin.errors import LayerError, ShapeError
from bicerin.kernels import Affine, Finish
from bicerin.layer import ActsAffinely, Blob, BlobCounts, Layer, LearnsAffinely, Operations, Phase, TrainsTogether
from bicerin.layer.abilities import affine_steps, rectifies

#: How many blobs hold statistics: the first ones.
_STATISTICS = 3


class BatchNormLayer(ActsAffinely, TrainsTogether, Layer):
    """Bottom and top: `(N, C, ...)`, or `(N,)` as one channel. In place is allowed, at the price of a copy of top for
    the gradient.
    """

    type = "BatchNorm"
    counts = BlobCounts(bottom=1, top=1)
    operations = Operations("batch_norm_kernels")

    def layer_set_up(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        param = self.param.batch_norm_param
        self.centers: bool = not param.disable_mean
        self.divides: bool = not param.disable_variance
        self.moving_average_fraction: float = param.moving_average_fraction
        if not (self.centers and self.divides) and not param.HasField("moving_average_fraction"):
            self.moving_average_fraction = 0.99
        self.use_global_stats: bool = (
            param.use_global_stats if param.HasField("use_global_stats") else self.phase is Phase.TEST
        )
        #: How many images have statistics of their own; 0 is all.
        self.stats_batch_size: int = 0 if self.use_global_stats else param.stats_batch_size
        self.rectifies: bool = param.relu
        self.eps: float = param.eps
        self.channels = self._channels(bottom[0])
        #: Whether the layer scales and shifts, too.
        self.scales = self._scales()
        self.shifts: bool = self.scales and param.bias_term
        channels = (self.channels,)
        declared: list[tuple[tuple[int, ...], Any]] = [(channels, None), (channels, None), ((1,), None)]
        if self.scales:
            given = [name for name in ("scale_filler", "filler") if param.HasField(name)]
            declared.append((channels, getattr(param, given[0]) if given else type(param.filler)(value=1)))
        if self.shifts:
            declared.append((channels, param.bias_filler))
        self._check_given_blobs()
        self.declare_blobs(*declared, learned=False)
        for blob in self.blobs:
            blob.keep_versions()
        for index in range(_STATISTICS, len(declared)):
            self.set_param_propagate_down(index, True)
        for index in range(_STATISTICS):
            if index == len(self.param.param):
                self.param.param.add(lr_mult=0)
            elif self.param.param[index].lr_mult != 0:
                raise LayerError(
                    "Cannot configure batch normalization statistics as layer parameters: "
                    f"param {index} has lr_mult {self.param.param[index].lr_mult:g}.",
                    "The statistics are averages, not learned: remove the param entries, or give lr_mult: 0.",
                )
        #: Otherwise all of the bottom is one.
        self.has_channels = bottom[0].num_axes > 1
        #: Of each part of the batch and each channel: mean, variance, and 1 / sqrt(variance + eps).
        self.statistics = self.new_blob((1, 3, self.channels), "statistics")
        #: Of each channel: the means of top's gradient, and of its product with top.
        self.gradient_means = self.new_blob((2, self.channels), "gradient_means")
        #: In place, the top before a later layer overwrote it.
        self.normalized = self.new_blob(name="normalized")
        #: In place and together with layers after this, the bottom before it was overwritten.
        self.before: Memory | None = None
        #: What stands for an average that is not kept.
        self.nothing = self.new_blob((self.channels,), "nothing")
        #: With a scale, the gradient of what it scales.
        self.inner_diff = self.new_blob(name="inner_diff")
        #: With a rectifier, top before a later layer overwrote it, and the gradient of what it rectifies.
        self.rectified = self.new_blob(name="rectified")
        self.rectified_diff = self.new_blob(name="rectified_diff")

    def _scales(self) -> bool:
        """A filler asks for it as well, whatever scale_bias is."""
        param = self.param.batch_norm_param
        if param.scale_bias or any(param.HasField(name) for name in ("scale_filler", "bias_filler")):
            return True
        if param.HasField("use_weight_bias"):
            return bool(param.use_weight_bias)
        # A layer that was made adds entries, but has its blobs.
        reference = len(self.param.param) == _STATISTICS and len(self.blobs) <= _STATISTICS
        return param.HasField("filler") and not reference

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
        self.parts = self._parts(blob.shape[0])
        self.statistics.reshape(len(self.parts), 3, self.channels)
        if self.rectifies:
            self.rectified.reshape(*self.aligned)
            self.rectified_diff.reshape(*self.aligned)
        if self.scales or (blob is top[0] and not self.use_global_stats):
            self.normalized.reshape(*self.aligned)
        if self.scales:
            self.inner_diff.reshape(*self.aligned)

    def _parts(self, num: int) -> list[slice]:
        """Which images are normalized together."""
        size = self.stats_batch_size
        if not size or not num:
            return [slice(0, num)]
        if num % size:
            raise ShapeError(f"a batch of {num} cannot be divided into parts of stats_batch_size, {size}.")
        return [slice(begin, begin + size) for begin in range(0, num, size)]

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        if not bottom[0].count:
            return
        x, y = bottom[0].data.reshape(self.aligned), top[0].data.reshape(self.aligned)
        if self.use_global_stats:
            self.ops.normalize(x, *self._global_statistics(), y)
        else:
            for part, statistics in zip(self.parts, self.statistics.data, strict=True):
                self._normalize(x[part], y[part], *statistics)
            if bottom[0] is top[0] and not self.scales:
                # What follows may work in place too, so that neither x nor y will be there for the gradient.
                self.normalized.data[...] = y
        self._scale(y)
        if self.rectifies:
            self.xp.maximum(y, 0, out=y)
            self.rectified.data[...] = y

    def _normalize(self, x: Any, y: Any, mean: Any, variance: Any, inverse: Any) -> None:
        """By the statistics of these images, which the running sums take in."""
        if self.centers and self.divides:
            self.ops.batch_norm(x, y, mean, variance, inverse, self.eps)
        else:
            self._normalize_in_part(x, y, mean, variance, inverse)
        self._accumulate(mean, variance, x.size)

    def _accumulate(self, mean: Any, variance: Any, count: int) -> None:
        """Take the statistics of so many elements into the running sums."""
        count //= self.channels
        unbiased = count / (count - 1) if count > 1 else 1.0
        kept = self.nothing.data
        means, variances, weight = (blob.data for blob in self.blobs[:_STATISTICS])
        averages = (means if self.centers else kept, variances if self.divides else kept, weight)
        self.ops.accumulate(mean, variance, self.moving_average_fraction, unbiased, *averages)

    def _normalize_in_part(self, x: Any, y: Any, mean: Any, variance: Any, inverse: Any) -> None:
        """Without the mean, or without the variance."""
        xp = self.xp
        mean[...] = x.mean(axis=(0, 2)) if self.centers else 0
        variance[...] = xp.einsum("ncs,ncs->c", x, x) / (x.shape[0] * x.shape[2])
        inverse[...] = 1 / xp.sqrt(variance + self.eps) if self.divides else 1
        self.ops.normalize(x, mean, inverse, y)

    def _scale(self, y: Any) -> None:
        """Scale and shift the normalized values, which are kept for the gradient."""
        if self.scales:
            scale, *shift = (blob.data.reshape(1, -1, 1) for blob in self.blobs[_STATISTICS:])
            self.normalized.data[...] = y
            y *= scale
            if shift:
                y += shift[0]

    def _check_given_blobs(self) -> None:
        """Say what five blobs are, where three are expected."""
        if len(self.blobs) == _STATISTICS + 2 and not self.scales:
            raise ShapeError(
                f"it has {_STATISTICS} parameter blobs, but was given {len(self.blobs)}.",
                "The last two are a scale and a shift, of NVIDIA's or Intel's BatchNorm: batch_norm_param "
                "{ scale_bias: true } computes with them.",
            )

    def affine(self) -> Affine | None:
        if not self.use_global_stats or not self.has_channels or self.rectifies:
            return None
        mean, inverse = self._global_statistics()
        if not self.scales:
            return Affine(1, inverse, -mean * inverse)
        scale, *shift = (blob.read_only.data for blob in self.blobs[_STATISTICS:])
        return Affine(1, inverse * scale, (shift[0] if shift else 0) - mean * inverse * scale)

    def _global_statistics(self) -> tuple[Any, Any]:
        """The mean of each channel, and 1 / sqrt(variance + eps), of all batches of training."""
        mean, _, inverse = self.statistics.data[0]
        statistics = (blob.read_only.data for blob in self.blobs[:_STATISTICS])
        self.ops.global_statistics(*statistics, mean, inverse, self.eps)
        if not self.centers:
            mean.fill(0)
        if not self.divides:
            inverse.fill(1)
        return mean, inverse

    def backward(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        if not bottom[0].count:
            return
        y_diff, x_diff = top[0].diff.reshape(self.aligned), bottom[0].diff.reshape(self.aligned)
        if self.rectifies:
            y_diff = self.xp.multiply(y_diff, self.rectified.data > 0, out=self.rectified_diff.data)
        if self.scales:
            y_diff = self._scale_backward(y_diff)
        if not propagate_down[0]:
            return
        if self.use_global_stats:
            self.ops.multiply(y_diff, self.statistics.data[0, 2], x_diff)
            return
        in_place = self.scales or bottom[0] is top[0]
        x = self.normalized.data if in_place else bottom[0].data.reshape(self.aligned)
        for part, statistics in zip(self.parts, self.statistics.data, strict=True):
            self._normalize_backward(x[part], y_diff[part], statistics, in_place, x_diff[part])

    def _normalize_backward(self, x: Any, y_diff: Any, statistics: Any, in_place: bool, x_diff: Any) -> None:
        """The gradient of images that were normalized together; in place, x is what came out of that."""
        mean, _, inverse = statistics
        if not (self.centers and self.divides):
            y = x if in_place else (x - mean[:, None]) * inverse[:, None]
            self._normalize_in_part_backward(y, y_diff, inverse, x_diff)
            return
        self.ops.batch_norm_backward(x, y_diff, mean, inverse, in_place, self.gradient_means.data, x_diff)

    # Together with a scale and a shift that are learned, and a rectifier, right after it

    def takes(self, layers: Sequence[ActsAffinely]) -> int:
        if self.use_global_stats or self.scales or self.rectifies or len(self.parts) > 1:
            return 0
        if not (self.centers and self.divides and self.has_channels):
            return 0
        taken = 0
        if layers and isinstance(layers[0], LearnsAffinely):
            step = layers[0].affine()
            if step is None or step.axis != 1:
                return 0
            taken = 1
        return taken + 1 if layers[taken:] and rectifies(layers[taken].affine()) else taken

    def forward_with(self, layers: Sequence[ActsAffinely], bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        if not bottom[0].count:
            return
        self.finished_with = self._finish_of(layers)
        x = self._bottom_before(bottom[0], top[0])
        mean, variance, inverse = self.statistics.data[0]
        y = top[0].data.reshape(self.aligned)
        self.ops.batch_norm_finished(x, y, mean, variance, inverse, self.eps, *self.finished_with)
        self._accumulate(mean, variance, x.size)

    def _finish_of(self, layers: Sequence[ActsAffinely]) -> Finish:
        """What the layers do to normalized values, with a scale and a shift in any case."""
        scale, shift, slope = Finish.of(None, affine_steps(layers), self.dtype)
        xp, dtype = self.xp, self.dtype
        # Copies: the gradient is that of the pass, whatever the blobs are then.
        scale = xp.array(scale) if scale.size else xp.ones(self.channels, dtype)
        shift = xp.array(shift) if shift.size else xp.zeros(self.channels, dtype)
        return Finish(scale, shift, dtype.type(slope))

    def _bottom_before(self, bottom: Blob, top: Blob) -> Any:
        """The bottom, out of the top's way where that is the same blob: both are needed for the gradient."""
        if bottom is not top:
            return bottom.data.reshape(self.aligned)
        memory = bottom.memory[0]
        if self.before is None or self.before.size != memory.size:
            self.before = Memory(memory.size, memory.dtype, memory.device)
        self.before.take(memory)
        return self._kept(bottom)

    def _kept(self, bottom: Blob) -> Any:
        assert self.before is not None
        return self.before.host_array(write=False)[: bottom.count].reshape(self.aligned)

    def forward_again(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        if not bottom[0].count:
            return
        x = self._kept(bottom[0]) if bottom[0] is top[0] else bottom[0].data.reshape(self.aligned)
        mean, _, inverse = self.statistics.data[0]
        self.ops.normalize_finished(x, mean, inverse, *self.finished_with, top[0].data.reshape(self.aligned))

    def backward_with(
        self,
        layers: Sequence[ActsAffinely],
        top: Sequence[Blob],
        propagate_down: Sequence[bool],
        bottom: Sequence[Blob],
    ) -> None:
        if not bottom[0].count:
            return
        x = self._kept(bottom[0]) if bottom[0] is top[0] else bottom[0].data.reshape(self.aligned)
        y_diff, x_diff = top[0].diff.reshape(self.aligned), bottom[0].diff.reshape(self.aligned)
        mean, _, inverse = self.statistics.data[0]
        means = self.gradient_means.data
        self.ops.batch_norm_finished_backward(
            x, y_diff, mean, inverse, *self.finished_with, propagate_down[0], means, x_diff
        )
        self._add_gradients(layers)

    def _add_gradients(self, layers: Sequence[ActsAffinely]) -> None:
        """Give the layer that learns a scale and a shift their gradients, which are in `gradient_means`."""
        if layers and isinstance(layers[0], LearnsAffinely):
            shift, scale = self.gradient_means.data
            layers[0].add_affine_gradients(scale, shift)

    def _normalize_in_part_backward(self, y: Any, y_diff: Any, inverse: Any, x_diff: Any) -> None:
        xp = self.xp
        size = y.shape[0] * y.shape[2]
        if self.centers:
            xp.subtract(y_diff, y_diff.mean(axis=(0, 2))[:, None], out=x_diff)
        elif self.divides:
            xp.subtract(y_diff, (xp.einsum("ncs,ncs->c", y_diff, y) / size)[:, None] * y, out=x_diff)
            x_diff *= inverse[:, None]
        else:
            x_diff[...] = y_diff

    def _scale_backward(self, y_diff: Any) -> Any:
        """Add the gradients of scale and shift; the gradient of the normalized values."""
        scale, *shift = self.blobs[_STATISTICS:]
        inner_diff, axes = self.inner_diff.data, (0, 2)
        if self.param_propagate_down(_STATISTICS):
            self.xp.multiply(y_diff, self.normalized.data, out=inner_diff)
            scale.diff[...] += inner_diff.sum(axis=axes)
        if shift and self.param_propagate_down(_STATISTICS + 1):
            shift[0].diff[...] += y_diff.sum(axis=axes)
        self.xp.multiply(y_diff, scale.data.reshape(1, -1, 1), out=inner_diff)
        return inner_diff
