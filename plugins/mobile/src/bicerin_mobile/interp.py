"""Interp: bilinear interpolation whose outermost pixels keep their places.

Row i of the top lies at row i (H - 1) / (H' - 1) of the bottom, between two of its rows; likewise columns. With
`mode: NEAREST` it is the nearer of the two, of equally near ones the later.

- bottom: shape (N, C, H, W). `pad_beg` and `pad_end`, not positive, first cut rows and columns off at the top and left,
  and at the bottom and right.
- top: shape (N, C, H', W'). H' is one of:
  - (H - 1) / `shrink_factor` + 1, truncated;
  - (H - 1) · `zoom_factor` + 1; with both factors, first shrunk, then zoomed;
  - `height`, and W' is `width`, where no factor is given, or both are; one factor alone counts more.

Source: Chen et al., "DeepLab", 2014; the InterpLayer of DeepLab's Caffe (George Papandreou), also PSPNet's; jolibrain's
for NEAREST, whose places are computed in float32, here as there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from bicerin.errors import LayerError, ShapeError
from bicerin.layer import Blob, BlobCounts, Layer, Operations, enum_name, image_shape


class InterpLayer(Layer):
    """Each pixel of the top's gradient is shared out to the four pixels around its place, or goes to the nearest."""

    type = "Interp"
    counts = BlobCounts(bottom=1, top=1)
    operations = Operations("interp_kernels")
    allows_in_place = False

    def layer_set_up(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        param = self.param.interp_param
        if param.pad_beg > 0 or param.pad_end > 0:
            raise LayerError("Only supports non-pos padding (cropping) for now", "pad_beg and pad_end must not be > 0.")
        self.crop = (-param.pad_beg, -param.pad_end)
        self.shrink = param.shrink_factor if param.HasField("shrink_factor") else None
        self.zoom = param.zoom_factor if param.HasField("zoom_factor") else None
        for name, factor in (("Shrink", self.shrink), ("Zoom", self.zoom)):
            if factor is not None and factor < 1:
                raise LayerError(f"{name} factor must be positive, not {factor}.")
        self.nearest = enum_name(param, "mode", ("LINEAR", "NEAREST")) == "NEAREST"
        self._made_for: Any = None
        self.size: tuple[int, int] | None = None
        if (self.shrink is None) == (self.zoom is None):
            if param.HasField("height") and param.HasField("width"):
                self.size = (param.height, param.width)
            elif self.zoom is None:
                raise LayerError("interp_param gives no size.", "Give height and width, zoom_factor or shrink_factor.")

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        _, _, height, width = image_shape(bottom[0])
        self.inner = (height - sum(self.crop), width - sum(self.crop))
        size = self.size or (self._length(self.inner[0]), self._length(self.inner[1]))
        for name, before, after in zip(("height", "width"), self.inner, size, strict=True):
            if before < 1 or after < 1:
                raise ShapeError(f"{name} should be positive: {before} of the bottom, {after} of the top.")
        top[0].reshape(*bottom[0].shape[:2], *size)
        if self.nearest and self._made_for != (self.inner, size):
            self._made_for = (self.inner, size)
            pairs = zip(self.inner, size, strict=True)
            #: The row, and the column, of the bottom that each of the top's is.
            self.rows, self.columns = (self.xp.asarray(_nearest(*pair) + self.crop[0]) for pair in pairs)

    def _length(self, length: int) -> int:
        if self.shrink is not None:
            length = (length - 1) // self.shrink + 1
        return (length - 1) * (self.zoom or 1) + 1

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        if self.nearest:
            self.ops.pick(_planes(bottom[0].data), self.rows, self.columns, _planes(top[0].data))
            return
        self.ops.interpolate(_planes(bottom[0].data), self.crop[0], *self.inner, _planes(top[0].data))

    def backward(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        if not propagate_down[0]:
            return
        if self.nearest:
            self.ops.pick_backward(_planes(top[0].diff), self.rows, self.columns, _planes(bottom[0].diff))
        else:
            self.ops.interpolate_backward(_planes(top[0].diff), self.crop[0], *self.inner, _planes(bottom[0].diff))


def _nearest(before: int, after: int) -> np.ndarray:
    """For each of `after` rows or columns that of `before` which is nearest, int64."""
    step = np.float32(before - 1) / np.float32(max(after - 1, 1))
    place = np.arange(after, dtype=np.float32) * step
    first = place.astype(np.int64)
    return np.minimum(first + (place - first.astype(np.float32) >= 0.5), before - 1)


def _planes(array: Any) -> Any:
    number, channels, height, width = array.shape
    return array.reshape(number * channels, height, width)
