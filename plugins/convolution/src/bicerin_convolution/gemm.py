"""Convolution as products of packed matrices: any shape, stride, pad, dilation and number of axes.

The functions are those of `reference`, with the same results.
"""

from __future__ import annotations

from math import prod

import numpy as np

from bicerin.kernels import num_threads
from bicerin_convolution.gemm_kernels import correlate, pack_weights, scratch_size
from bicerin_convolution.geometry import Geometry
from bicerin_convolution.panel import LINE_BYTES, ROWS
from bicerin_convolution.taps import Taps, data_gradient_taps, forward_taps
from bicerin_convolution.workspace import workspace

#: Panels of positions that share a pass over the weights.
BLOCK = 4


def forward(
    x: np.ndarray, w: np.ndarray, bias: np.ndarray | None, geometry: Geometry, group: int, y: np.ndarray
) -> None:
    """Write y."""
    matrix = w.reshape(group, w.shape[0] // group, w.shape[1], -1)
    _correlate(x, matrix, bias, y, forward_taps(*_spatial(geometry, x, y)), geometry)


def data_gradient(
    dy: np.ndarray, w: np.ndarray, bias: np.ndarray | None, geometry: Geometry, group: int, dx: np.ndarray
) -> None:
    """Write dx, and add to its channels the bias that a deconvolution has."""
    matrix = w.reshape(group, w.shape[0] // group, w.shape[1], -1).swapaxes(1, 2)
    for taps in data_gradient_taps(*_spatial(geometry, dx, dy)):
        _correlate(dy, matrix, bias, dx, taps, geometry)


def _spatial(geometry: Geometry, x: np.ndarray, y: np.ndarray) -> tuple[Geometry, tuple[int, ...], tuple[int, ...]]:
    """The same with at least one axis; a pointwise convolution sees all positions as one."""
    if geometry.is_pointwise:
        return Geometry((1,), (1,), (0,), (1,)), (prod(x.shape[2:]),), (prod(y.shape[2:]),)
    return geometry, x.shape[2:], y.shape[2:]


def _rows(array: np.ndarray, geometry: Geometry) -> np.ndarray:
    """`(N, C, spatial...)` as `(N, C, R, W)`."""
    if geometry.is_pointwise:
        return array.reshape(*array.shape[:2], 1, prod(array.shape[2:]))
    return array.reshape(*array.shape[:2], prod(array.shape[2:-1]), array.shape[-1])


def _correlate(
    x: np.ndarray, w: np.ndarray, bias: np.ndarray | None, y: np.ndarray, taps: Taps, geometry: Geometry
) -> None:
    if not y.size:
        return
    groups, outputs, channels = w.shape[:3]
    panels = -(-outputs // ROWS)
    packed = workspace("weights", (groups, panels, channels * taps.taps.size, ROWS), w.dtype)
    pack_weights(w, taps.taps, packed)
    if bias is None:
        bias = workspace("bias", (y.shape[1],), w.dtype)
        bias.fill(0)
    workers = num_threads()
    width = LINE_BYTES // w.itemsize
    columns = -(-len(x) * taps.out_rows.size * taps.out_columns[2] // width)
    block = max(1, min(BLOCK, columns * groups // (2 * workers)))
    units = -(-columns // block) * groups
    parts = 1 if units >= workers else min(panels, -(-workers // units))
    scratch = workspace("scratch", (workers, scratch_size(block, parts, panels, w.itemsize)), w.dtype)
    correlate(
        _rows(x, geometry),
        taps.rows,
        taps.columns,
        taps.stride,
        packed,
        bias,
        _rows(y, geometry),
        taps.out_rows,
        *taps.out_columns,
        block,
        parts,
        scratch,
    )
