"""Upsample: pixels repeated, or put back where a pooling took them from.

With one bottom, each pixel becomes `scale` x `scale` pixels; with two, each goes to the place that its mask says.

- bottom 0: shape (N, C, H, W).
- bottom 1, optional: places in a plane of the top, y · W' + x, of the same shape, as the second top of a Pooling layer.
  Places that no pixel goes to are 0, and of several pixels that go to one, the last stays. It has no gradient.
- top: shape (N, C, H', W').

The forks mean different things by one type; the number of bottoms tells them apart. Repeating, H' = `scale` · H, with
1 by default (MobileNet-YOLO). Putting back, H' is `upsample_h`, or `scale_h` · H, or `scale` · H with 2 by default,
less 1 with `pad_out_h`; likewise W' (SegNet, ENet).

Source: Badrinarayanan et al., "SegNet", 2015; the UpsampleLayers of SegNet and of MobileNet-YOLO.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from bicerin.errors import LayerError, ShapeError
from bicerin.layer import Blob, BlobCounts, ChecksInputs, Layer, Operations, between, image_shape


class UpsampleLayer(ChecksInputs, Layer):
    """A pixel's gradient is the sum of its copies', or that of the place it was put back to."""

    type = "Upsample"
    counts = BlobCounts(bottom=between(1, 2), top=1)
    operations = Operations("upsample_kernels")
    allows_in_place = False

    def layer_set_up(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        self.masked = len(bottom) == 2
        if self.masked:
            #: The pixel that goes to each place of the top.
            self.source = self.new_blob(name="source", dtype=np.int32)
            self._set_up_unpooling()
        else:
            self._set_up_repeating()

    def _set_up_repeating(self) -> None:
        param = self.param.upsample_param
        extra = [field.name for field, _ in param.ListFields() if field.name != "scale"]
        if extra:
            raise LayerError(
                f"{', '.join(extra)} is for unpooling, which takes 2 bottoms.",
                "Give the mask, the second top of the Pooling layer, as the second bottom.",
            )
        self.scale: int = param.scale if param.HasField("scale") else 1
        if not self.scale:
            raise LayerError("scale must be > 0")

    def _set_up_unpooling(self) -> None:
        param = self.param.upsample_param
        has_h, has_w = param.HasField("scale_h"), param.HasField("scale_w")
        self.size: tuple[int, int] | None = None
        if param.HasField("upsample_h") and param.HasField("upsample_w"):
            self.size = (param.upsample_h, param.upsample_w)
            if min(self.size) < 2:
                raise LayerError(f"upsample_h and upsample_w must be greater than 1: {self.size}.")
            return
        if has_h != has_w or (has_h and param.HasField("scale")):
            raise LayerError(
                "upsample_h & upsample_w are required, else (DEPRECATED) scale OR scale_h & scale_w are required."
            )
        self.scales = (param.scale_h, param.scale_w) if has_h else (param.scale, param.scale)
        self.less = (int(param.pad_out_h), int(param.pad_out_w))
        for name, scale, less in zip(("height", "width"), self.scales, self.less, strict=True):
            if scale < 2:
                raise LayerError(f"the scale of the {name} must be greater than 1, not {scale}.")
            if less and scale != 2:
                raise LayerError(
                    f"Output {name} padding compensation requires scale_{name[0]} == 2, otherwise the output size is "
                    "ill-defined."
                )

    def allow_force_backward(self, bottom_index: int) -> bool:
        return bottom_index == 0

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        shape = bottom[0].shape
        if self.masked:
            image_shape(bottom[0])
            if bottom[1].shape != shape:
                raise ShapeError(f"the mask must have the shape of the input: {bottom[1].shape} against {shape}.")
            size: tuple[int, ...] = self.size or tuple(
                length * scale - less for length, scale, less in zip(shape[2:], self.scales, self.less, strict=True)
            )
        else:
            if len(shape) < 2:
                raise ShapeError(f"Input must have a height and a width, not the shape {shape}.")
            size = tuple(length * self.scale for length in shape[-2:])
        top[0].reshape(*shape[:-2], *size)
        planes = prod(shape[:-2])
        if self.masked:
            self.plane = size
            #: The bottom and the top as planes: flat ones, whose pixels the mask counts, or rows and columns.
            self.small: tuple[int, ...] = (planes, prod(shape[2:]))
            self.large: tuple[int, ...] = (planes, prod(size))
            self.source.reshape(*self.large)
        else:
            self.small, self.large = (planes, *shape[-2:]), (planes, *size)

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        x, y = bottom[0].data.reshape(self.small), top[0].data.reshape(self.large)
        if not self.masked:
            self.ops.repeat(x, y)
        elif self.ops.unpool(x, bottom[1].data.reshape(self.small), self.source.data, y):
            self.check_inputs(bottom)

    def backward(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        if propagate_down[0]:
            y_diff, x_diff = top[0].diff.reshape(self.large), bottom[0].diff.reshape(self.small)
            if self.masked:
                self.ops.unpool_backward(y_diff, bottom[1].data.reshape(self.small), x_diff)
            else:
                self.ops.repeat_backward(y_diff, x_diff)
        if self.masked and propagate_down[1]:
            bottom[1].diff.fill(0)

    def check_inputs(self, bottom: Sequence[Blob]) -> None:
        """Refuse a mask with a place outside of the top."""
        if not self.masked:
            return
        places: Any = bottom[1].data
        height, width = self.plane
        wrong = places[~((places > -1) & (places < height * width))]
        if wrong.size:
            raise LayerError(
                f"upsample top index {wrong[0]:.0f} out of range - check scale settings match input pooling layer's "
                f"downsample setup: the top is {height} x {width}."
            )
