"""Convolution with 3x3 and 5x5 kernels, stride 1, by Winograd's F(4x4, 3x3) and F(2x2, 5x5).

They take a quarter of the multiplications, and a little more than a third.

The functions are those of `reference`. The results differ from its by rounding, about ten times that of a plain sum in
float32, since the transforms add numbers of different sizes.
"""

from __future__ import annotations

from functools import lru_cache
from math import isqrt

import numpy as np

from bicerin.panel import LINE_BYTES, ROWS, VECTOR_BYTES
from bicerin.pointwise import Finish
from bicerin_convolution.finish import finish_table
from bicerin_convolution.geometry import Geometry
from bicerin_convolution.threads import threads
from bicerin_convolution.winograd_gradient_kernels import add_tile_products, gradient_scratch_size
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


def forward(
    x: np.ndarray, w: np.ndarray, finish: np.ndarray | Finish | None, geometry: Geometry, group: int, y: np.ndarray
) -> None:
    """Write y."""
    _convolve(x, w.reshape(group, w.shape[0] // group, w.shape[1], -1), False, finish, geometry.pad, y)


def data_gradient(
    dy: np.ndarray, w: np.ndarray, bias: np.ndarray | None, geometry: Geometry, group: int, dx: np.ndarray
) -> None:
    """Write dx, and add to its channels the bias that a deconvolution has."""
    matrix = w.reshape(group, w.shape[0] // group, w.shape[1], -1)
    last = geometry.kernel[0] - 1
    _convolve(dy, matrix, True, bias, (last - geometry.pad[0], last - geometry.pad[1]), dx)


def weight_gradient(x: np.ndarray, dy: np.ndarray, geometry: Geometry, group: int, dw: np.ndarray) -> None:
    """Add to dw."""
    if not dy.size:
        return
    outputs, channels = dw.shape[0] // group, dw.shape[1]
    tile = PATCH + 1 - dw.shape[2]
    rows = _tile_rows(x.shape[2], dy.shape[2], geometry.pad[0], tile)
    tile_rows, tile_columns = len(x) * rows.shape[1], -(-dy.shape[3] // tile)
    width, lanes = LINE_BYTES // x.itemsize, VECTOR_BYTES // x.itemsize
    line = max(ROWS, lanes)
    x_panels, dy_panels = -(-channels // width), -(-outputs // line)
    tile_bytes = group * POINTS * (x_panels * width + dy_panels * line) * x.itemsize
    block = min(tile_rows, max(1, -(-LEAST_TILES // tile_columns), BLOCK // (tile_bytes * tile_columns)))
    block = -(-tile_rows // -(-tile_rows // block))
    tiles = block * tile_columns
    with threads(outputs * channels * group * POINTS * tile_rows * tile_columns) as workers:
        size = gradient_scratch_size(max(x.shape[3], dy.shape[3]) + geometry.pad[1], x.itemsize)
        add_tile_products(
            x,
            rows,
            geometry.pad[1],
            dy,
            dw.reshape(group, outputs, channels, -1),
            block,
            workspace("patches", (group * POINTS * (x_panels * tiles * width + lanes),), x.dtype),
            workspace("gradients", (group * POINTS * (dy_panels * tiles * line + lanes),), x.dtype),
            workspace("scratch", (workers, size), x.dtype),
        )


def _convolve(
    x: np.ndarray, w: np.ndarray, turned: bool, finish: np.ndarray | Finish | None, pad: tuple[int, ...], y: np.ndarray
) -> None:
    """w is `(G, M, C, 9 or 25)`; or `(G, C, M, ...)` when it is turned, and then each kernel half around."""
    if not y.size:
        return
    groups, outputs, channels, size = w.shape
    if turned:
        outputs, channels = channels, outputs
    bundles = -(-outputs // (OUTPUT_PANELS * ROWS))
    tile = PATCH + 1 - isqrt(size)
    rows = _tile_rows(x.shape[2], y.shape[2], pad[0], tile)
    tiles = len(x) * rows.shape[1] * -(-y.shape[3] // tile)
    width = LINE_BYTES // w.itemsize
    columns = -(-tiles // width)
    table = finish_table(finish, y.shape[1], w.dtype)
    with threads(groups * outputs * channels * POINTS * tiles) as workers:
        packed = workspace("weights", (groups, bundles, POINTS, weight_point(channels, w.itemsize)), w.dtype)
        transform_weights(w, turned, packed, workspace("scratch", (workers, kernel_scratch_size(w.itemsize)), w.dtype))
        fits = max(1, CACHE // (POINTS * channels * LINE_BYTES))
        block = max(1, min(fits, columns * groups // (2 * workers)))
        units = -(-columns // block) * groups
        parts = 1 if units >= workers else min(bundles, -(-workers // units))
        scratch = workspace("scratch", (workers, tile_scratch_size(block, channels, w.itemsize)), w.dtype)
        convolve_tiles(x, rows, pad[1], packed, table, y, tile, block, parts, scratch)


@lru_cache(maxsize=512)
def _tile_rows(height: int, out_height: int, pad: int, tile: int) -> np.ndarray:
    """`(6, tile rows)`: the input row of each row of each row of tiles; -1 is padding."""
    rows = np.arange(-(-out_height // tile)) * tile + np.arange(PATCH)[:, None] - pad
    return np.where((rows >= 0) & (rows < height), rows, -1)
