"""Interp: bilinear interpolation whose outermost pixels keep their places. Chen et al., DeepLab, 2014; PSPNet."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bicerin.device import CudaSource
from bicerin.errors import LayerError, ShapeError
from bicerin.layer import Blob, BlobCounts, Layer
from bicerin_mobile import interp_kernels as kernels


class InterpLayer(Layer):
    """Row i of the top lies at row i (H - 1) / (H' - 1) of the bottom, between two of its rows; likewise columns.

    Bottom: `(N, C, H, W)`. Top: `(N, C, H', W')`. `pad_beg` and `pad_end`, not positive, first cut rows and columns off
    at the top and left, and at the bottom and right. H' is one of:

    - (H - 1) / `shrink_factor` + 1, the fraction cut off;
    - (H - 1) * `zoom_factor` + 1; with both factors, first shrunk, then zoomed;
    - `height`, and W' is `width`, where no factor is given, or both are; one factor alone counts more.

    Source: the InterpLayer of DeepLab's Caffe (George Papandreou).
    """

    type = "Interp"
    counts = BlobCounts(bottom=1, top=1)
    cuda = CudaSource(__file__, "interp.cu")
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
        self.size: tuple[int, int] | None = None
        if (self.shrink is None) == (self.zoom is None):
            if param.HasField("height") and param.HasField("width"):
                self.size = (param.height, param.width)
            elif self.zoom is None:
                raise LayerError("interp_param gives no size.", "Give height and width, zoom_factor or shrink_factor.")

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        if bottom[0].num_axes != 4:
            raise ShapeError(f"Input must have the shape (num, channels, height, width), not {bottom[0].shape}.")
        self.inner = (bottom[0].height - sum(self.crop), bottom[0].width - sum(self.crop))
        size = self.size or (self._length(self.inner[0]), self._length(self.inner[1]))
        for name, before, after in zip(("height", "width"), self.inner, size, strict=True):
            if before < 1 or after < 1:
                raise ShapeError(f"{name} should be positive: {before} of the bottom, {after} of the top.")
        top[0].reshape(*bottom[0].shape[:2], *size)
        self.rows = self._places(self.inner[0], size[0])
        self.columns = self._places(self.inner[1], size[1])

    def _length(self, length: int) -> int:
        if self.shrink is not None:
            length = (length - 1) // self.shrink + 1
        return (length - 1) * (self.zoom or 1) + 1

    def _places(self, before: int, after: int) -> tuple[np.ndarray, np.ndarray]:
        """For each row or column of the top: the one of the bottom before it, and how far it is on to the next."""
        place = np.arange(after, dtype=self.dtype) * self._step(before, after)
        first = np.minimum(place.astype(np.int64), before - 1)
        return first, (place - first).astype(self.dtype)

    def _step(self, before: int, after: int) -> np.floating:
        """How far apart the rows or columns of the top lie in the bottom."""
        step: np.floating = self.dtype.type(before - 1) / self.dtype.type(max(after - 1, 1))
        return step if after > 1 else self.dtype.type(0)

    def forward_cpu(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        x, y = self._cropped(bottom[0], bottom[0].cpu_data), top[0].data
        kernels.interpolate(x, *self.rows, *self.columns, y.reshape(-1, *y.shape[2:]))

    def backward_cpu(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        if propagate_down[0]:
            bottom[0].diff.fill(0)
            x_diff, y_diff = self._cropped(bottom[0], bottom[0].diff), top[0].cpu_diff
            kernels.interpolate_backward(x_diff, *self.rows, *self.columns, y_diff.reshape(-1, *y_diff.shape[2:]))

    def _cropped(self, blob: Blob, array: np.ndarray) -> np.ndarray:
        """The planes without what is cut off, `(N C, H, W)`; a view."""
        start, (height, width) = self.crop[0], self.inner
        planes = array.reshape(blob.count_between(0, 2), *blob.shape[2:])
        return planes[:, start : start + height, start : start + width]

    def forward_gpu(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        y = top[0].gpu_data
        self.kernels.interpolate(y.size, bottom[0].const_gpu_data, y, *self._sizes(bottom[0], top[0]))

    def backward_gpu(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        if propagate_down[0]:
            y_diff, diff = top[0].const_gpu_diff, bottom[0].gpu_diff
            diff.fill(0)
            self.kernels.interpolate_backward(y_diff.size, y_diff, diff, *self._sizes(bottom[0], top[0]))

    def _sizes(self, bottom: Blob, top: Blob) -> tuple[float | np.floating, ...]:
        size = top.shape[2:]
        steps = tuple(map(self._step, self.inner, size))
        return (*bottom.shape[2:], self.crop[0], *self.inner, *size, *steps)
