"""Pooling: each window of a plane becomes one value.

Reduce windows of `kernel_h` x `kernel_w`, `stride` apart, of each plane of a bottom padded by `pad`.

- MAX: the greatest value. The second top, if there is one, holds its place in the plane, `h * W + w`.
- AVE: the sum over the window's area; padding counts as zeros and, up to `H + pad`, in the area, which Intel's
  `avg_include_pad: false` leaves out.
- STOCHASTIC (Zeiler and Fergus, 2013): at TRAIN a value drawn with a probability proportional to itself, at TEST
  the mean under those probabilities, sum(x^2) / sum(x). The values must not be negative.

With `global_pooling` the window is the plane. `round_mode` CEIL lets the last window reach over the edge; FLOOR, and
`ceil_mode: false` of forks, do not.

Source: Caffe's PoolingLayer.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from bicerin.errors import BlobCountError, ShapeError
from bicerin.layer import (
    Blob,
    BlobCounts,
    Chooses,
    Layer,
    Phase,
    ReadsTops,
    RereadsBottoms,
    TopValues,
    between,
    enum_name,
    image_shape,
)
from bicerin_pooling.plane_pooling import (
    METHODS,
    OPERATIONS,
    AverageWithoutPadding,
    MaxPooling,
    PlanePooling,
    plane_pooling,
)
from bicerin_pooling.window import Window


class PoolingLayer(ReadsTops, RereadsBottoms, Chooses, Layer):
    """Bottom: `(N, C, H, W)`. Tops: `(N, C, pooled_h, pooled_w)`."""

    type = "Pooling"
    counts = BlobCounts(bottom=1, top=between(1, 2))
    allows_in_place = False
    operations = OPERATIONS

    def layer_set_up(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        param = self.param.pooling_param
        self.method = enum_name(param, "pool", METHODS)
        self.counts_padding: bool = param.avg_include_pad
        self.ceil = param.round_mode == param.CEIL and param.ceil_mode
        self.window = _window(param)
        if len(top) > 1 and self.method != "MAX":
            raise BlobCountError(
                f"Pooling Layer produces at most 1 top blob(s) as output. It was given {len(top)}.",
                f"The second top is the mask of pool: MAX; {self.method} has none.",
            )
        self.pooling: PlanePooling
        self.pooled_from: tuple[int, ...] | None = None

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        shape = bottom[0].shape
        if self.pooled_from != shape:
            image_shape(bottom[0])
            window = self._window_of(shape)
            if min(window[:2]) == 0:
                raise ShapeError(f"Filter dimensions cannot be zero: {window.kernel_h} x {window.kernel_w}.")
            self.pooling = plane_pooling(self.method, self, window, shape, self.ceil, keeps_mask=len(top) > 1)
            if self.method == "AVE" and not self.counts_padding and max(window[4:]) > 0:
                self.pooling = AverageWithoutPadding(self, window, shape, self.ceil)
            self.pooled_from = shape
        for blob in top:
            blob.reshape(*self.pooling.shape)

    def _window_of(self, shape: Sequence[int]) -> Window:
        return self.window or Window(shape[2], shape[3], 1, 1, 0, 0)

    def chosen(self, bottom: Sequence[Blob], top: int, choices: np.ndarray) -> np.ndarray | None:
        if top == 0:
            return None
        x = bottom[0].read_only.data
        height, width = x.shape[2:]
        window = self._window_of(x.shape).within(height, width)
        inside = (choices == np.floor(choices)) & (choices >= 0) & (choices < height * width)
        places = np.where(inside, choices, 0).astype(np.int64)
        for axis, place in enumerate((places // width, places % width)):
            first: np.ndarray = np.arange(choices.shape[2 + axis]) * window[2 + axis] - window[4 + axis]
            if axis == 0:
                first = first[:, None]
            inside &= (place >= first) & (place < first + window[axis])
        planes = (*x.shape[:2], -1)
        values = np.take_along_axis(x.reshape(planes), places.reshape(planes), axis=2).reshape(choices.shape)
        return np.where(inside, values, np.nan)

    def reads_in_tops(self) -> TopValues:
        stochastic = self.method == "STOCHASTIC" and self.phase is Phase.TEST
        return TopValues.ELEMENTS if stochastic else TopValues.NONE

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        self.pooling.forward(bottom[0].data, top[0].data)
        if len(top) > 1:
            assert isinstance(self.pooling, MaxPooling)
            top[1].data[...] = self.pooling.mask.data.reshape(top[1].shape)

    def backward(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        if propagate_down[0]:
            self.pooling.backward(bottom[0].data, bottom[0].diff, top[0].data, top[0].diff)


def _window(param: Any) -> Window | None:
    """The window of a `PoolingParameter`, with Caffe's checks; None for the whole plane."""
    has = param.HasField
    if param.global_pooling:
        if has("kernel_size") or has("kernel_h") or has("kernel_w"):
            raise ShapeError(
                "With Global_pooling: true Filter size cannot specified.", "Remove kernel_size, kernel_h and kernel_w."
            )
    elif has("kernel_size") == (has("kernel_h") and has("kernel_w")):
        raise ShapeError(
            "Filter size is kernel_size OR kernel_h and kernel_w; not both.",
            None if has("kernel_size") else "For non-square filters both kernel_h and kernel_w are required.",
        )
    for name in ("pad", "stride"):
        down, across = has(f"{name}_h"), has(f"{name}_w")
        if (down or across) and not (down and across and not has(name)):
            raise ShapeError(f"{name.capitalize()} is {name} OR {name}_h and {name}_w are required.")
    pad = (param.pad_h, param.pad_w) if has("pad_h") else (param.pad, param.pad)
    stride = (param.stride_h, param.stride_w) if has("stride_h") else (param.stride, param.stride)
    if param.global_pooling:
        if pad != (0, 0) or stride != (1, 1):
            raise ShapeError(
                "With Global_pooling: true; only pad = 0 and stride = 1, "
                f"not pad {pad[0]} x {pad[1]} and stride {stride[0]} x {stride[1]}."
            )
        return None
    kernel = (param.kernel_size, param.kernel_size) if has("kernel_size") else (param.kernel_h, param.kernel_w)
    if min(kernel) == 0:
        raise ShapeError(f"Filter dimensions cannot be zero: {kernel[0]} x {kernel[1]}.")
    if min(stride) == 0:
        raise ShapeError(f"Stride dimensions cannot be zero: {stride[0]} x {stride[1]}.")
    if pad != (0, 0) and param.pool not in (param.MAX, param.AVE):
        raise ShapeError("Padding implemented only for average and max pooling.")
    return Window(*kernel, *stride, *pad)
