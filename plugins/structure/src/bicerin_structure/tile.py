"""Tile: the bottom repeated `tiles` times along `axis` (by default 1). float32 or float64.

Source: Caffe's `TileLayer`.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from bicerin.errors import ShapeError
from bicerin.layer import Blob, BlobCounts, Layer


class TileLayer(Layer):
    """For shape `(N, C, H, W)` and axis 1, the top is `(N, tiles * C, H, W)`; a gradient is the sum over the tiles."""

    type = "Tile"
    counts = BlobCounts(bottom=1, top=1)
    allows_in_place = False

    def layer_set_up(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        param = self.param.tile_param
        if not param.HasField("tiles"):
            raise ShapeError("Number of tiles must be specified.", "Give it in tile_param { tiles: ... }.")
        if param.tiles <= 0:
            raise ShapeError(f"Number of tiles must be positive; it is {param.tiles}.")
        self.tiles: int = param.tiles

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        shape = bottom[0].shape
        axis = bottom[0].canonical_axis(self.param.tile_param.axis)
        self._outer, self._inner = prod(shape[:axis]), prod(shape[axis:])
        top[0].reshape(*shape[:axis], self.tiles * shape[axis], *shape[axis + 1 :])

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        tiled = top[0].data.reshape(self._outer, self.tiles, self._inner)
        tiled[...] = bottom[0].data.reshape(self._outer, 1, self._inner)

    def backward(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        if propagate_down[0]:
            tiled = top[0].diff.reshape(self._outer, self.tiles, self._inner)
            tiled.sum(axis=1, out=bottom[0].diff.reshape(self._outer, self._inner))
