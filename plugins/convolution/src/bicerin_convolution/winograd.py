"""Convolution with 3x3 kernels, stride 1, by Winograd's F(4x4, 3x3): a quarter of the multiplications.

The functions are those of `reference`. The results differ from its by rounding, about ten times that of a plain sum in
float32, since the transforms add numbers of different sizes.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from bicerin.panel import LINE_BYTES, ROWS
from bicerin_convolution.geometry import Geometry
from bicerin_convolution.threads import threads
from bicerin_convolution.winograd_kernels import (
    CHANNELS,
    OUTPUT_PANELS,
    POINTS,
    convolve_tiles,
    kernel_scratch_size,
    tile_scratch_size,
    transform_weights,
)
from bicerin_convolution.winograd_transforms import PATCH, TILE
from bicerin_convolution.workspace import workspace

#: Bytes of transformed input that a thread holds.
CACHE = 1 << 20


def applies(geometry: Geometry) -> bool:
    """Whether this algorithm can do it at all."""
    return (
        geometry.kernel == (3, 3)
        and geometry.stride == (1, 1)
        and geometry.dilation == (1, 1)
        and all(pad <= 2 for pad in geometry.pad)
    )


def forward(
    x: np.ndarray, w: np.ndarray, bias: np.ndarray | None, geometry: Geometry, group: int, y: np.ndarray
) -> None:
    """Write y."""
    _convolve(x, w.reshape(group, w.shape[0] // group, w.shape[1], 9), False, bias, geometry.pad, y)


def data_gradient(
    dy: np.ndarray, w: np.ndarray, bias: np.ndarray | None, geometry: Geometry, group: int, dx: np.ndarray
) -> None:
    """Write dx, and add to its channels the bias that a deconvolution has."""
    matrix = w.reshape(group, w.shape[0] // group, w.shape[1], 9)
    _convolve(dy, matrix, True, bias, (2 - geometry.pad[0], 2 - geometry.pad[1]), dx)


def _convolve(
    x: np.ndarray, w: np.ndarray, turned: bool, bias: np.ndarray | None, pad: tuple[int, ...], y: np.ndarray
) -> None:
    """w is `(G, M, C, 9)`; or `(G, C, M, 9)` when it is turned, and then each kernel half around."""
    if not y.size:
        return
    groups, outputs, channels, _ = w.shape
    if turned:
        outputs, channels = channels, outputs
    bundles = -(-outputs // (OUTPUT_PANELS * ROWS))
    rows = _tile_rows(x.shape[2], y.shape[2], pad[0])
    tiles = len(x) * rows.shape[1] * -(-y.shape[3] // TILE)
    width = LINE_BYTES // w.itemsize
    columns = -(-tiles // width)
    if bias is None:
        bias = workspace("bias", (y.shape[1],), w.dtype)
        bias.fill(0)
    with threads(groups * outputs * channels * POINTS * tiles) as workers:
        room = -(-channels // CHANNELS) * CHANNELS
        packed = workspace("weights", (groups, bundles, POINTS, OUTPUT_PANELS, room, ROWS), w.dtype)
        transform_weights(w, turned, packed, workspace("scratch", (workers, kernel_scratch_size(w.itemsize)), w.dtype))
        fits = max(1, CACHE // (POINTS * channels * LINE_BYTES))
        block = max(1, min(fits, columns * groups // (2 * workers)))
        units = -(-columns // block) * groups
        parts = 1 if units >= workers else min(bundles, -(-workers // units))
        scratch = workspace("scratch", (workers, tile_scratch_size(block, channels, w.itemsize)), w.dtype)
        convolve_tiles(x, rows, pad[1], packed, bias, y, block, parts, scratch)


@lru_cache(maxsize=512)
def _tile_rows(height: int, out_height: int, pad: int) -> np.ndarray:
    """`(6, tile rows)`: the input row of each row of each row of tiles; -1 is padding."""
    rows = np.arange(-(-out_height // TILE)) * TILE + np.arange(PATCH)[:, None] - pad
    return np.where((rows >= 0) & (rows < height), rows, -1)
