"""ImResize: maps of several scales of one image, each resized by cubic convolution, and their mean.

Scale s has shrunk to the middle of its map: floor(H / 2) · (1 - start_scale + s · scale_gap) rows, rounded down, are
left out at the top and as many at the bottom, likewise columns. Row i of the top lies at row (i + 1/2) · h / H' - 1/2
of the h that are left; what lies outside is the nearest row.

- bottom: shape (S, C, H, W), one map for each of S scales.
- top: shape (1, C, H', W'): `target_spatial_height` x `target_spatial_width`, or with `factor`, which counts more,
  factor · H and factor · W, rounded down.

Source: the `ImResizeLayer` of caffe_rtpose (Cao et al., "Realtime multi-person 2D pose estimation", 2017), as it runs
on a GPU; its code for the CPU, which its programs do not use, takes one scale. The cubic's a is -1/2 (Keys, 1981).
"""

from __future__ import annotations

from collections.abc import Sequence
from math import floor
from typing import Any

import numpy as np

from bicerin.errors import LayerError, ShapeError
from bicerin.layer import Blob, BlobCounts, Layer, Operations, image_shape


class ImResizeLayer(Layer):
    """Each pixel of the top is a sum over 4 x 4 pixels of each scale; its gradient is shared out to them."""

    type = "ImResize"
    counts = BlobCounts(bottom=1, top=1)
    operations = Operations("imresize_kernels")
    allows_in_place = False

    def layer_set_up(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        param = self.param.imresize_param
        self.factor: float = param.factor
        self.target = (param.target_spatial_height, param.target_spatial_width)
        self.start_scale: float = param.start_scale
        self.scale_gap: float = param.scale_gap
        if not self.factor >= 0:
            raise LayerError(f"factor must be at least 0, not {self.factor:g}.")
        self._made_for: Any = None

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        scales, channels, *before = image_shape(bottom[0])
        after = [int(np.float32(length) * np.float32(self.factor)) for length in before] if self.factor else self.target
        for name, old, new in zip(("height", "width"), before, after, strict=True):
            if old < 1 or new < 1:
                raise ShapeError(f"{name} should be positive: {old} of the bottom, {new} of the top.")
        top[0].reshape(1, channels, *after)
        if self._made_for != (scales, before, after):
            self._made_for = (scales, before, after)
            self.rows = self._taps(scales, before[0], after[0], "height")
            self.columns = self._taps(scales, before[1], after[1], "width")

    def _taps(self, scales: int, before: int, after: int, name: str) -> tuple[Any, Any]:
        """The 4 rows, or columns, that each of the top is made of, and their weights: shape (S, after, 4)."""
        places, weights = np.empty((scales, after, 4), np.int64), np.empty((scales, after, 4))
        for scale in range(scales):
            padding = floor(before // 2 * (1 - self.start_scale + scale * self.scale_gap))
            length = before - 2 * padding
            if padding < 0 or length < 1:
                raise ShapeError(
                    f"scale {scale} leaves {length} of the {before} pixels of the {name}.",
                    "start_scale is from 0 to 1, and start_scale - (scales - 1) · scale_gap is above 0.",
                )
            place = (np.arange(after) + 0.5) * length / after - 0.5
            first = np.maximum((place + 1e-5).astype(np.int64), 0)
            near = first[:, None] + np.arange(-1, 3)
            places[scale] = np.clip(near, 0, length - 1) + padding
            weights[scale] = _cubic((place - first)[:, None] - np.arange(-1, 3))
        return self.xp.asarray(places), self.xp.asarray((weights).astype(self.dtype))

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        self.ops.resize(bottom[0].data, *self.rows, *self.columns, top[0].data[0])

    def backward(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        if propagate_down[0]:
            self.ops.resize_backward(top[0].diff[0], *self.rows, *self.columns, bottom[0].diff)


def _cubic(distance: np.ndarray) -> np.ndarray:
    """The weight of a pixel at this distance, from -2 to 2, of cubic convolution with a = -1/2.

    Beyond the borders a place may be farther than 1 from its own pixel; the polynomials go on there.
    """
    offset = distance[:, 1]  # from the pixel before the place
    powers = np.stack([np.ones_like(offset), offset, offset**2, offset**3])
    matrix = np.array([[0, -0.5, 1, -0.5], [1, 0, -2.5, 1.5], [0, 0.5, 2, -1.5], [0, 0, -0.5, 0.5]])
    weights: np.ndarray = (matrix @ powers).T
    return weights
