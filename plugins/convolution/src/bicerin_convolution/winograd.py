"""Convolution with 3x3 and 5x5 kernels, stride 1, by Winograd's F(4x4, 3x3) and F(2x2, 5x5).

They take a quarter of the multiplications, and a little more than a third.

The functions prepare the products of `reference`. The results differ from its by rounding, about ten times that of a
plain sum in float32, since the transforms add numbers of different sizes.
"""

from __future__ import annotations

from functools import lru_cache
from math import prod

import numpy as np

from bicerin.kernels import Finish, workers_for
from bicerin.kernels.finishing import FinishTable
from bicerin.kernels.panel import LINE_BYTES, ROWS, VECTOR_BYTES
from bicerin_convolution.geometry import Geometry
from bicerin_convolution.prepared_weights import PreparedWeights
from bicerin_convolution.problem import Problem
from bicerin_convolution.winograd_gradient_kernels import add_tile_products, gradient_scratch_size, row_places
from bicerin_convolution.winograd_kernels import (
    OUTPUT_PANELS,
    POINTS,
    convolve_tiles,
    kernel_scratch_size,
    tile_scratch_size,
    transform_weights,
    weight_point,
)
from bicerin_convolution.winograd_transforms import PATCH
from bicerin_convolution.workspace import workspace

#: Bytes of transformed input that a thread holds.
CACHE = 1 << 20
#: Bytes of transformed input and gradient that are summed up at a time, and the tiles that this must not fall short of,
#: since every time the products are transformed back.
BLOCK = 4 << 20
LEAST_TILES = 128


def applies(geometry: Geometry) -> bool:
    """Whether this algorithm can do it at all."""
    return (
        geometry.kernel in ((3, 3), (5, 5))
        and geometry.stride == (1, 1)
        and geometry.dilation == (1, 1)
        and all(pad < geometry.kernel[0] for pad in geometry.pad)
    )


class TileProducts:
    """y = weights * x, finished, as products of transformed tiles. The weights are `(G, M, C, 9 or 25)`; turned, they
    are `(G, C, M, ...)`, x is dy, and each kernel is rotated by 180 degrees."""

    def __init__(self, problem: Problem, turned: bool) -> None:
        x_shape, y_shape = (problem.y_shape, problem.x_shape) if turned else (problem.x_shape, problem.y_shape)
        dtype, geometry, groups = problem.dtype, problem.geometry, problem.group
        last = geometry.kernel[0] - 1
        pad = (last - geometry.pad[0], last - geometry.pad[1]) if turned else geometry.pad
        self._dtype, self._turned, self._pad = dtype, turned, pad[1]
        self._w_shape = problem.grouped_weight_shape
        self._finish = FinishTable(y_shape[1], dtype)
        self._empty = not prod(y_shape)
        if self._empty:
            return
        channels, outputs = x_shape[1] // groups, y_shape[1] // groups
        bundles = -(-outputs // (OUTPUT_PANELS * ROWS))
        self._tile = PATCH - last
        self._rows = _tile_rows(x_shape[2], y_shape[2], pad[0], self._tile)
        tiles = x_shape[0] * self._rows.shape[1] * -(-y_shape[3] // self._tile)
        columns = -(-tiles // (LINE_BYTES // dtype.itemsize))
        workers = workers_for(groups * outputs * channels * POINTS * tiles)
        shape = (groups, bundles, POINTS, weight_point(channels, dtype.itemsize))
        self._weights = PreparedWeights(self._transform, shape, dtype)
        self._kernel_shape = (workers, kernel_scratch_size(dtype.itemsize))
        fits = max(1, CACHE // (POINTS * channels * LINE_BYTES))
        self._block = max(1, min(fits, columns * groups // (2 * workers)))
        units = -(-columns // self._block) * groups
        self._parts = 1 if units >= workers else min(bundles, -(-workers // units))
        self._scratch_shape = (workers, tile_scratch_size(self._block, channels, dtype.itemsize))

    def _transform(self, w: np.ndarray, packed: np.ndarray) -> None:
        kernels = workspace("scratch", self._kernel_shape, self._dtype)
        transform_weights(w.reshape(self._w_shape), self._turned, packed, kernels)

    def __call__(self, x: np.ndarray, w: np.ndarray, finish: Finish, y: np.ndarray, version: int | None = None) -> None:
        if self._empty:
            return
        packed = self._weights.of(w, version)
        convolve_tiles(
            x,
            self._rows,
            self._pad,
            packed,
            self._finish.of(finish),
            y,
            self._tile,
            self._block,
            self._parts,
            workspace("scratch", self._scratch_shape, self._dtype),
        )


class WeightGradient:
    """dw += the sum over tiles of the products of transformed tiles of x and dy, transformed back."""

    def __init__(self, problem: Problem) -> None:
        x, y, dtype, group = problem.x_shape, problem.y_shape, problem.dtype, problem.group
        self._dtype, self._pad = dtype, problem.geometry.pad[1]
        self._dw_shape = problem.grouped_weight_shape
        self._empty = not prod(y)
        if self._empty:
            return
        _, outputs, channels, _ = self._dw_shape
        tile = PATCH + 1 - problem.geometry.kernel[0]
        self._rows = _tile_rows(x[2], y[2], problem.geometry.pad[0], tile)
        tile_rows, tile_columns = x[0] * self._rows.shape[1], -(-y[3] // tile)
        width, lanes = LINE_BYTES // dtype.itemsize, VECTOR_BYTES // dtype.itemsize
        line = max(ROWS, lanes)
        x_panels, dy_panels = -(-channels // width), -(-outputs // line)
        tile_bytes = group * POINTS * (x_panels * width + dy_panels * line) * dtype.itemsize
        block = min(tile_rows, max(1, -(-LEAST_TILES // tile_columns), BLOCK // (tile_bytes * tile_columns)))
        self._block = -(-tile_rows // -(-tile_rows // block))
        tiles = self._block * tile_columns
        workers = workers_for(outputs * channels * group * POINTS * tile_rows * tile_columns)
        self._places = row_places(max(x[3], y[3]) + self._pad, lanes)
        self._patches_shape = (group * POINTS * (x_panels * tiles * width + lanes),)
        self._gradients_shape = (group * POINTS * (dy_panels * tiles * line + lanes),)
        self._scratch_shape = (workers, gradient_scratch_size(self._places, dtype.itemsize))

    def __call__(self, x: np.ndarray, dy: np.ndarray, dw: np.ndarray) -> None:
        if self._empty:
            return
        add_tile_products(
            x,
            self._rows,
            self._pad,
            dy,
            dw.reshape(self._dw_shape),
            self._block,
            workspace("patches", self._patches_shape, self._dtype),
            workspace("gradients", self._gradients_shape, self._dtype),
            self._places,
            workspace("scratch", self._scratch_shape, self._dtype),
        )


def forward(problem: Problem) -> TileProducts:
    return TileProducts(problem, turned=False)


def weight_gradient(problem: Problem) -> WeightGradient:
    return WeightGradient(problem)


def data_gradient(problem: Problem) -> TileProducts:
    return TileProducts(problem, turned=True)


@lru_cache(maxsize=512)
def _tile_rows(height: int, out_height: int, pad: int, tile: int) -> np.ndarray:
    """`(6, tile rows)`: the input row of each row of each row of tiles; -1 is padding."""
    rows = np.arange(-(-out_height // tile)) * tile + np.arange(PATCH)[:, None] - pad
    return np.where((rows >= 0) & (rows < height), rows, -1)
