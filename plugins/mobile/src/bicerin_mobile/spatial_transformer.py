"""SpatialTransformer: an affine transformation of each image, whose numbers are given by another part of the net.

Row i and column j of the top are (r, c) = (2 i / H' - 1, 2 j / W' - 1); with θ, 2 x 3, of the item they lie at
(r', c') = θ · (r, c, 1) in the bottom, its row (r' + 1) / 2 · H and column (c' + 1) / 2 · W. The value there is
interpolated between the 4 pixels around; beyond the borders all are 0.

- bottom 0: shape (N, C, H, W).
- bottom 1: the numbers of θ that st_param does not fix (`theta_1_1` to `theta_2_3`), N times as many, by rows:
  θ11 θ12 θ13 θ21 θ22 θ23.
- top: shape (N, C, H', W'): `output_H`, `output_W`, by default H and W.

Source: Jaderberg et al., "Spatial transformer networks", 2015; the `SpatialTransformerLayer` of daerduoCarey's Caffe,
as it runs on a GPU (on the CPU it refuses to).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from bicerin.errors import LayerError, ShapeError
from bicerin.layer import Blob, BlobCounts, Layer, Operations, image_shape

NAMES = tuple(f"theta_{row}_{column}" for row in (1, 2) for column in (1, 2, 3))


class SpatialTransformerLayer(Layer):
    """Both bottoms have gradients; with `to_compute_dU: false` that of bottom 0 is 0."""

    type = "SpatialTransformer"
    counts = BlobCounts(bottom=2, top=1)
    operations = Operations("spatial_transformer_kernels")
    allows_in_place = False

    def layer_set_up(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        param = self.param.st_param
        for name, known in (("transform_type", "affine"), ("sampler_type", "bilinear")):
            if getattr(param, name) != known:
                raise LayerError(f'{name} is "{getattr(param, name)}".', f'There is "{known}" alone.')
        #: Which of the 6 numbers bottom 1 gives, and what the others are.
        self.given = [index for index, name in enumerate(NAMES) if not param.HasField(name)]
        fixed = np.array([getattr(param, name) for name in NAMES], self.dtype)
        self.fixed = self.xp.asarray(fixed)
        self.passes: bool = param.to_compute_dU
        self._made_for: Any = None

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        param = self.param.st_param
        number, channels, height, width = image_shape(bottom[0])
        size = (
            param.output_H if param.HasField("output_H") else height,
            param.output_W if param.HasField("output_W") else width,
        )
        if min(height, width, *size) < 1:
            raise ShapeError(f"height and width should be positive: {(height, width)} and {size}.")
        if bottom[1].count != number * len(self.given) or bottom[1].shape[:1] != (number,):
            raise ShapeError(
                f"bottom 1 must have the {len(self.given)} numbers of θ that are not fixed for each of the {number} "
                f"items, not the shape {bottom[1].shape}."
            )
        self.number = number
        top[0].reshape(number, channels, *size)
        if self._made_for != size:
            self._made_for = size
            rows, columns = (np.arange(length) / length * 2 - 1 for length in size)
            places = np.stack([*np.meshgrid(rows, columns, indexing="ij"), np.ones(size)], axis=-1)
            #: (r, c, 1) of each place of the top, shape (H' · W', 3).
            self.grid = self.xp.asarray(places.reshape(-1, 3).astype(self.dtype))

    def _places(self, bottom: Sequence[Blob]) -> Any:
        """The row and column of the bottom for each pixel of the top, shape (N, H' · W', 2)."""
        xp = self.xp
        theta = xp.empty((self.number, 6), self.dtype)
        theta[...] = self.fixed
        if self.given:
            theta[:, self.given] = bottom[1].data.reshape(self.number, len(self.given))
        moved = self.grid @ theta.reshape(self.number, 2, 3).transpose(0, 2, 1)
        return (moved + 1) * self._half(bottom)

    def _half(self, bottom: Sequence[Blob]) -> Any:
        """(H, W) / 2."""
        height, width = bottom[0].shape[2:]
        return self.xp.stack([self.xp.full((), length / 2, self.dtype) for length in (height, width)])

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        self.places = self.xp.ascontiguousarray(self._places(bottom))
        shape = top[0].shape
        self.ops.sample(bottom[0].data, self.places, top[0].data.reshape(*shape[:2], shape[2] * shape[3]))

    def backward(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        shape = top[0].shape
        y_diff = top[0].diff.reshape(*shape[:2], shape[2] * shape[3])
        if propagate_down[0]:
            if self.passes:
                self.ops.spread_gradient(y_diff, self.places, bottom[0].diff)
            else:
                bottom[0].diff.fill(0)
        if propagate_down[1] and self.given:
            moves = self.xp.empty_like(self.places)
            self.ops.place_gradient(bottom[0].data, y_diff, self.places, moves)
            moves *= self._half(bottom)
            theta_diff = (moves.transpose(0, 2, 1) @ self.grid).reshape(self.number, 6)
            bottom[1].diff.reshape(self.number, len(self.given))[...] = theta_diff[:, self.given]
