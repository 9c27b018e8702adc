"""BN: batch normalization with scale and shift in one layer. Ioffe and Szegedy, 2015."""

from __future__ import annotations

from collections.abc import Sequence

from bicerin.errors import LayerError, ShapeError
from bicerin.layer import Blob, BlobCounts, Layer, Phase, between

SEGNET = ("scale_filler", "shift_filler", "bn_mode")
YJXIONG = ("slope_filler", "bias_filler", "momentum", "eps", "frozen", "engine")
REFUSED = ("var_eps", "moving_average", "decay", "across_spatial")
SEGNET_EPS = 1e-9


class BNLayer(Layer):
    """top = scale * (x - mean) / sqrt(variance + eps) + shift, by channel. Bottom and top: `(N, C, ...)`.

    The forks mean two things by this type; the fields of `bn_param` tell them apart, and if there are none, the number
    of blobs that were loaded:

    - SegNet and ENet (`scale_filler`, `shift_filler`, `bn_mode`). Blobs: scale and shift, `(1, C, 1, 1)`. Mean and
      variance are always those of the batch, and eps is 1e-9; the optional tops 1 and 2 are the mean and the variance,
      `(1, C, 1, 1)`. With `bn_mode: INFERENCE`, top = scale * x + shift: the rest was put into the weights.
    - yjxiong and PSPNet (`slope_filler`, `bias_filler`, `momentum`, `eps`, `frozen`). Blobs: scale, shift, and averages
      of mean and variance, `(1, C)` or `(1, C, 1, 1)`. At TRAIN, mean and variance are those of the batch, and 1 -
      `momentum` of them goes into the averages; at TEST, or where `frozen`, the averages count. The solver leaves the
      averages alone, and where frozen all blobs.

    In place is allowed. At TEST the gradient takes the averages as given; yjxiong's takes it as if they came from the
    batch.
    """

    type = "BN"
    counts = BlobCounts(bottom=1, top=between(1, 3))

    def layer_set_up(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        if bottom[0].num_axes < 2:
            raise ShapeError(f"Input must have the shape (N, C, ...), not {bottom[0].shape}.")
        self.channels = bottom[0].shape[1]
        self.eps: float = SEGNET_EPS
        self.averages = self._has_averages()
        #: (x - mean) / sqrt(variance + eps), `(N, C, S)`.
        self.normalized = self.new_blob(name="normalized")
        for blob in self.blobs:
            if blob.count == self.channels:  # Files hold them with and without axes of 1.
                blob.reshape(*((1, self.channels) if self.averages else (1, self.channels, 1, 1)))
        if self.averages:
            self._set_up_averages(top)
        else:
            self._set_up_segnet()

    def _has_averages(self) -> bool:
        """Whether it is yjxiong's."""
        given = {field.name for field, _ in self.param.bn_param.ListFields()}
        if refused := sorted(given & set(REFUSED)):
            raise LayerError(
                f"{', '.join(refused)} of bn_param is not supported.",
                "It is of a third kind of BN (happynear, weiliu89); BatchNorm with Scale does the same.",
            )
        segnet, yjxiong = sorted(given & set(SEGNET)), sorted(given & set(YJXIONG))
        if segnet and yjxiong:
            raise LayerError(
                f"bn_param mixes two kinds of BN: {', '.join(segnet)} and {', '.join(yjxiong)}.",
                f"Give fields of one: {', '.join(SEGNET)} (SegNet), or {', '.join(YJXIONG)} (yjxiong).",
            )
        return bool(yjxiong) or (not segnet and len(self.blobs) != 2)

    def _set_up_segnet(self) -> None:
        param = self.param.bn_param
        shape = (1, self.channels, 1, 1)
        self.declare_blobs((shape, param.scale_filler), (shape, param.shift_filler))
        mode = param.DESCRIPTOR.fields_by_name["bn_mode"].enum_type.values_by_number[param.bn_mode].name
        self.inference, self.frozen = mode == "INFERENCE", False

    def _set_up_averages(self, top: Sequence[Blob]) -> None:
        param = self.param.bn_param
        if len(top) > 1:
            raise LayerError(f"it gives 1 top with these parameters, not {len(top)}.", "More are SegNet's BN.")
        shape = (1, self.channels)
        self.declare_blobs((shape, param.slope_filler), (shape, param.bias_filler), (shape, None), (shape, None))
        self.eps = param.eps
        self.momentum: float = param.momentum
        self.inference, self.frozen = False, param.frozen
        while len(self.param.param) < 4:
            self.param.param.add()
        for index in range(0 if self.frozen else 2, 4):
            self.set_param_propagate_down(index, False)
            self.param.param[index].lr_mult = 0
            self.param.param[index].decay_mult = 0

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        shape = bottom[0].shape
        if len(shape) < 2 or shape[1] != self.channels:
            raise ShapeError(f"there are weights for {self.channels} channels, but the input is {shape}.")
        top[0].reshape_like(bottom[0])
        for blob in top[1:]:
            blob.reshape(1, self.channels, 1, 1)
        self.normalized.reshape(shape[0], self.channels, bottom[0].count_between(2))

    @property
    def uses_batch(self) -> bool:
        """Whether mean and variance are those of the batch."""
        return not (self.inference or self.frozen or (self.averages and self.phase is Phase.TEST))

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        xp = self.xp
        normalized = self.normalized.data
        x, y = bottom[0].data.reshape(normalized.shape), top[0].data.reshape(normalized.shape)
        weights = [blob.data.reshape(self.channels, 1) for blob in self.blobs]
        if self.uses_batch and x.size:
            mean = x.mean(axis=(0, 2), keepdims=True)[0]
            xp.subtract(x, mean, out=normalized)
            variance = xp.square(normalized).mean(axis=(0, 2), keepdims=True)[0]
            for blob, value in zip(self.blobs[2:], (mean, variance), strict=False):
                average = blob.data.reshape(self.channels, 1)
                average *= average.dtype.type(self.momentum)
                average += value * average.dtype.type(1 - self.momentum)
            for blob, value in zip(top[1:], (mean, variance), strict=False):
                blob.data[...] = value.reshape(blob.shape)
        elif self.averages:
            variance = weights[3]
            xp.subtract(x, weights[2], out=normalized)
        else:
            variance = xp.ones((self.channels, 1), self.dtype)
            normalized[...] = x
        if self.inference:
            self.inverse = variance
        else:
            self.inverse = 1 / xp.sqrt(variance + variance.dtype.type(self.eps))
            normalized *= self.inverse
        xp.multiply(normalized, weights[0], out=y)
        y += weights[1]

    def backward(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        xp = self.xp
        normalized = self.normalized.data
        y_diff = top[0].diff.reshape(normalized.shape)
        scale, shift = self.blobs[:2]
        along, total = xp.einsum("ncs,ncs->c", y_diff, normalized), y_diff.sum(axis=(0, 2))
        for index, blob, gradient in ((0, scale, along), (1, shift, total)):
            if self.param_propagate_down(index):
                blob.diff.reshape(-1)[...] += gradient
        if propagate_down[0]:
            x_diff = bottom[0].diff.reshape(normalized.shape)
            factor = scale.data.reshape(self.channels, 1) * self.inverse
            if self.uses_batch and x_diff.size:
                count = x_diff.dtype.type(x_diff.size // self.channels)
                rest = normalized * (along / count)[:, None]
                rest += (total / count)[:, None]
                xp.subtract(y_diff, rest, out=x_diff)
                x_diff *= factor
            else:
                xp.multiply(y_diff, factor, out=x_diff)
