"""BN: batch normalization with scale and shift in one layer.

top = scale · (x - mean) / √(variance + eps) + shift, by channel.

- bottom, top: shape (N, C, ...); in place is allowed.

The forks mean three things by this type; the fields of `bn_param` tell them apart, and if there are none, the number of
blobs that were loaded:

- SegNet and ENet (`scale_filler`, `shift_filler`, `bn_mode`). Blobs: scale and shift, shape (1, C, 1, 1). Mean and
  variance are always those of the batch, and eps is 1e-9; the optional tops 1 and 2 are the mean and the variance,
  shape (1, C, 1, 1). With `bn_mode: INFERENCE`, top = scale · x + shift: the rest was put into the weights.
- weiliu89's branch fcn (`var_eps`, `across_spatial`, `moving_average`, `decay`). As SegNet's, with one top, and with
  `var_eps` for eps. With `across_spatial: false`, mean, variance, scale and shift are by place, over the batch: blobs
  of shape (1, C, H, W). With `moving_average`, averages count at TEST; as no file has them, that is refused there, and
  in training the option changes nothing.
- yjxiong and PSPNet (`slope_filler`, `bias_filler`, `momentum`, `eps`, `frozen`). Blobs: scale, shift, and averages of
  mean and variance, shape (1, C) or (1, C, 1, 1). At TRAIN, mean and variance are those of the batch, and
  1 - `momentum` of them goes into the averages; at TEST, or where `frozen`, the averages count. The solver leaves the
  averages alone, and where frozen all blobs.

Source: Ioffe and Szegedy, "Batch normalization", 2015; the BNLayers of SegNet, of yjxiong's Caffe and of weiliu89's.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bicerin.errors import LayerError, ShapeError
from bicerin.layer import Blob, BlobCounts, Layer, Operations, Phase, between, enum_name

SEGNET = ("scale_filler", "shift_filler", "bn_mode")
YJXIONG = ("slope_filler", "bias_filler", "momentum", "eps", "frozen", "engine")
WEILIU89 = ("var_eps", "moving_average", "decay", "across_spatial")
SEGNET_EPS = 1e-9


class BNLayer(Layer):
    """At TEST the gradient takes the averages as given; yjxiong's takes it as if they came from the batch."""

    type = "BN"
    counts = BlobCounts(bottom=1, top=between(1, 3))
    operations = Operations("bn_kernels")

    def layer_set_up(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        if bottom[0].num_axes < 2:
            raise ShapeError(f"Input must have the shape (N, C, ...), not {bottom[0].shape}.")
        self.channels = bottom[0].shape[1]
        self.eps: float = SEGNET_EPS
        self.averages = self._has_averages(top)
        #: (x - mean) / √(variance + eps), shape (N, C, S), or by place (N, C · S, 1).
        self.normalized = self.new_blob(name="normalized")
        #: The shape of scale and shift, one for each of what is normalized by itself.
        self.by_place = not self.param.bn_param.across_spatial
        self.unit_shape = (1, *bottom[0].shape[1:]) if self.by_place else (1, self.channels, 1, 1)
        for blob in self.blobs:
            if blob.count == self.channels and not self.by_place:  # Files hold them with and without axes of 1.
                blob.reshape(*((1, self.channels) if self.averages else self.unit_shape))
        if self.averages:
            self._set_up_averages(top)
        else:
            self._set_up_segnet()

    def _has_averages(self, top: Sequence[Blob]) -> bool:
        """Whether it is yjxiong's."""
        given = {field.name for field, _ in self.param.bn_param.ListFields()}
        weiliu89 = sorted(given & set(WEILIU89))
        segnet, yjxiong = sorted(given & {*SEGNET, *WEILIU89}), sorted(given & set(YJXIONG))
        if segnet and yjxiong:
            raise LayerError(
                f"bn_param mixes two kinds of BN: {', '.join(segnet)} and {', '.join(yjxiong)}.",
                f"Give fields of one: {', '.join(SEGNET)} (SegNet), with {', '.join(WEILIU89)} (weiliu89), or "
                f"{', '.join(YJXIONG)} (yjxiong).",
            )
        if weiliu89 and "bn_mode" in given:
            raise LayerError(
                f"bn_param mixes two kinds of BN: bn_mode is SegNet's, {', '.join(weiliu89)} weiliu89's.",
                "Leave one of them out.",
            )
        if weiliu89 and len(top) > 1:
            raise LayerError(f"it gives 1 top with {', '.join(weiliu89)}, not {len(top)}.", "More are SegNet's BN.")
        if self.param.bn_param.moving_average and self.phase is Phase.TEST:
            raise LayerError(
                "moving_average of bn_param is not supported in phase TEST: no file has the averages.",
                "BatchNorm with Scale keeps them in its blobs; without moving_average the batch's own count.",
            )
        return bool(yjxiong) or (not segnet and len(self.blobs) != 2)

    def _set_up_segnet(self) -> None:
        param = self.param.bn_param
        self.declare_blobs((self.unit_shape, param.scale_filler), (self.unit_shape, param.shift_filler))
        if any(param.HasField(name) for name in WEILIU89):
            self.eps = param.var_eps
        self.inference = enum_name(param, "bn_mode", ("LEARN", "INFERENCE")) == "INFERENCE"
        self.frozen = False

    def _set_up_averages(self, top: Sequence[Blob]) -> None:
        param = self.param.bn_param
        if len(top) > 1:
            raise LayerError(f"it gives 1 top with these parameters, not {len(top)}.", "More are SegNet's BN.")
        shape = (1, self.channels)
        fillers = (param.slope_filler, param.bias_filler, None, None)
        self.declare_blobs(*((shape, filler) for filler in fillers), learned=False)
        self.eps = param.eps
        self.momentum: float = param.momentum
        self.inference, self.frozen = False, param.frozen
        while len(self.param.param) < 4:
            self.param.param.add()
        for index in (0, 1):
            self.set_param_propagate_down(index, not self.frozen)
        for index in range(0 if self.frozen else 2, 4):
            self.param.param[index].lr_mult = 0
            self.param.param[index].decay_mult = 0

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        shape = bottom[0].shape
        if len(shape) < 2 or shape[1] != self.channels:
            raise ShapeError(f"there are weights for {self.channels} channels, but the input is {shape}.")
        if self.by_place and shape[1:] != self.unit_shape[1:]:
            raise ShapeError(f"there are weights for the places of {self.unit_shape[1:]}, but the input is {shape}.")
        top[0].reshape_like(bottom[0])
        for blob in top[1:]:
            blob.reshape(1, self.channels, 1, 1)
        self.units = self.blobs[0].count
        self.normalized.reshape(shape[0], self.units, bottom[0].count_between(1) // max(1, self.units))

    @property
    def uses_batch(self) -> bool:
        """Whether mean and variance are those of the batch."""
        return not (self.inference or self.frozen or (self.averages and self.phase is Phase.TEST))

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        normalized = self.normalized.data
        x, y = bottom[0].data.reshape(normalized.shape), top[0].data.reshape(normalized.shape)
        scale, shift = (blob.data.reshape(-1) for blob in self.blobs[:2])
        mean, self.inverse = self._statistics(x, top)
        self.ops.normalize(x, mean, self.inverse, scale, shift, normalized, y)

    def _statistics(self, x: Any, top: Sequence[Blob]) -> tuple[Any, Any]:
        """The mean and 1 / √(variance + eps), shape (C,); those of the batch go into the averages and tops too."""
        xp = self.xp
        if self.uses_batch and x.size:
            mean = x.mean(axis=(0, 2))
            centered = xp.subtract(x, mean[:, None], out=self.normalized.data)
            variance = xp.square(centered).mean(axis=(0, 2))
            for blob, value in zip(self.blobs[2:], (mean, variance), strict=False):
                average = blob.data.reshape(-1)
                average *= average.dtype.type(self.momentum)
                average += value * average.dtype.type(1 - self.momentum)
            for blob, value in zip(top[1:], (mean, variance), strict=False):
                blob.data[...] = value.reshape(blob.shape)
        elif self.averages:
            mean, variance = (blob.data.reshape(-1) for blob in self.blobs[2:])
        else:
            return xp.zeros(self.units, self.dtype), xp.ones(self.units, self.dtype)
        return mean, 1 / xp.sqrt(variance + variance.dtype.type(self.eps))

    def backward(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        xp = self.xp
        normalized = self.normalized.data
        y_diff = top[0].diff.reshape(normalized.shape)
        along, total = xp.einsum("ncs,ncs->c", y_diff, normalized), y_diff.sum(axis=(0, 2))
        for index, gradient in enumerate((along, total)):
            # force_backward asks for the gradients of all blobs, and what is frozen has none.
            if self.param_propagate_down(index) and not self.frozen:
                self.blobs[index].diff.reshape(-1)[...] += gradient
        if propagate_down[0]:
            x_diff = bottom[0].diff.reshape(normalized.shape)
            factor = self.blobs[0].data.reshape(-1) * self.inverse
            if self.uses_batch and x_diff.size:
                count = x_diff.dtype.type(x_diff.size // self.units)
                self.ops.input_gradient(y_diff, normalized, along / count, total / count, factor, x_diff)
            else:
                xp.multiply(y_diff, factor[:, None], out=x_diff)
