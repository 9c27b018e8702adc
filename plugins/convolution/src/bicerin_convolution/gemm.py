"""Convolution as products of packed matrices: any shape, stride, pad, dilation and number of axes.

The functions are those of `reference`, with the same results.
"""

from __future__ import annotations

from functools import lru_cache
from math import prod

import numpy as np

from bicerin.panel import LINE_BYTES, ROWS, VECTOR_BYTES
from bicerin.pointwise import Finish
from bicerin_convolution.finish import finish_table
from bicerin_convolution.gemm_kernels import (
    DEPTH,
    LINES,
    add_weight_gradient,
    correlate,
    fold_products,
    fold_scratch_size,
    pack_weights,
    scratch_size,
    weight_scratch_size,
)
from bicerin_convolution.geometry import Geometry
from bicerin_convolution.taps import Taps, as_rows, data_gradient_taps, forward_taps, with_rows
from bicerin_convolution.threads import threads
from bicerin_convolution.workspace import workspace

#: Panels of positions that share a pass over the weights, even where they do not fit in CACHE.
LEAST_BLOCK = 4
#: Bytes of packed input and of output that a thread works on at a time.
CACHE = 768 << 10
_ONE_TAP = np.zeros(1, np.intp)
#: Positions that are summed up between two visits to a tile of the weight gradient.
LENGTH = 384
#: Bytes of weight gradient that a thread sums up on its own at a time.
SUMS = 16 << 20


def forward(
    x: np.ndarray, w: np.ndarray, finish: np.ndarray | Finish | None, geometry: Geometry, group: int, y: np.ndarray
) -> None:
    """Write y."""
    matrix = w.reshape(group, w.shape[0] // group, w.shape[1], -1)
    _correlate(x, matrix, False, finish, y, forward_taps(*with_rows(geometry, x, y)), geometry)


def data_gradient(
    dy: np.ndarray, w: np.ndarray, bias: np.ndarray | None, geometry: Geometry, group: int, dx: np.ndarray
) -> None:
    """Write dx, and add to its channels the bias that a deconvolution has."""
    if dx.size and _fold_wins(dy, w, dx):
        _fold(dy, w, bias, geometry, group, dx)
        return
    matrix = w.reshape(group, w.shape[0] // group, w.shape[1], -1)
    for taps in data_gradient_taps(*with_rows(geometry, dx, dy)):
        _correlate(dy, matrix, True, bias, dx, taps, geometry)


def weight_gradient(x: np.ndarray, dy: np.ndarray, geometry: Geometry, group: int, dw: np.ndarray) -> None:
    """Add to dw."""
    if not dy.size:
        return
    taps = forward_taps(*with_rows(geometry, x, dy))
    matrix = dw.reshape(group, len(dw) // group, -1)
    _, outputs, lines = matrix.shape
    width, lanes = LINE_BYTES // x.itemsize, VECTOR_BYTES // x.itemsize
    positions = len(x) * prod(dy.shape[2:])
    padded = _up(outputs, width)
    step = min(_up(lines, LINES), _up(SUMS // (group * padded * x.itemsize) + 1, LINES))
    with threads(dw.size * positions) as workers:
        length = _up(-(-positions // _up(-(-positions // LENGTH), workers)), lanes)
        scratch = workspace("scratch", (workers, weight_scratch_size(length, outputs, x.itemsize)), x.dtype)
        sums = workspace("sums", (workers, group, step, padded), x.dtype)
        for first in range(0, lines, step):
            add_weight_gradient(
                as_rows(x, geometry),
                taps.rows,
                taps.columns,
                taps.stride,
                dy.reshape(*dy.shape[:2], -1),
                matrix,
                first,
                min(first + step, lines),
                length,
                sums,
                scratch,
            )


def _fold_wins(dy: np.ndarray, w: np.ndarray, dx: np.ndarray) -> bool:
    """Whether to add up the im2col matrix of dx rather than to unfold dy.

    The work that goes with either is by taps and positions, times the channels of dx or those of dy.
    """
    taps, plane = prod(w.shape[2:]), prod(dy.shape[2:])
    small = ROWS * taps * plane * dy.itemsize <= 2 * CACHE
    return taps > 1 and plane >= 32 and small and dx.shape[1] * plane < dy.shape[1] * prod(dx.shape[2:])


def _fold(
    dy: np.ndarray, w: np.ndarray, bias: np.ndarray | None, geometry: Geometry, group: int, dx: np.ndarray
) -> None:
    taps = forward_taps(*with_rows(geometry, dx, dy))
    depth, channels, plane = w.shape[0] // group, w.shape[1], prod(dy.shape[2:])
    lines = channels * taps.taps.size
    if bias is None:
        bias = workspace("bias", (dx.shape[1],), w.dtype)
        bias.fill(0)
    fits = CACHE // (ROWS * taps.taps.size * plane * w.itemsize)
    bundle = ROWS * max(1, min(fits, -(-channels // ROWS)))
    with threads(w.size * len(dy) * plane) as workers:
        packed = workspace("weights", (group, depth, _up(lines, ROWS)), w.dtype)
        pack_weights(w.reshape(group, depth, lines, 1), True, _ONE_TAP, packed)
        size = fold_scratch_size(bundle, taps.taps.size, depth, plane, w.itemsize)
        fold_products(
            dy.reshape(*dy.shape[:2], plane),
            packed,
            lines,
            bias,
            as_rows(dx, geometry),
            taps.rows,
            taps.columns,
            taps.stride,
            bundle,
            workspace("scratch", (workers, size), w.dtype),
        )


def _up(number: int, multiple: int) -> int:
    return -(-number // multiple) * multiple


def _correlate(
    x: np.ndarray,
    w: np.ndarray,
    turned: bool,
    finish: np.ndarray | Finish | None,
    y: np.ndarray,
    taps: Taps,
    geometry: Geometry,
) -> None:
    """w is `(G, M, C, kernel)`; or `(G, C, M, kernel)` if it is turned."""
    if not y.size:
        return
    groups, outputs, channels = w.shape[:3]
    if turned:
        outputs, channels = channels, outputs
    panels = -(-outputs // ROWS)
    positions = len(x) * taps.out_rows.size * taps.out_columns[2]
    columns = -(-positions // (LINE_BYTES // w.itemsize))
    table = finish_table(finish, y.shape[1], w.dtype)
    with threads(groups * outputs * channels * taps.taps.size * positions) as workers:
        depth = channels * taps.taps.size
        packed = workspace("weights", (groups, depth, panels * ROWS), w.dtype)
        pack_weights(w, turned, taps.taps, packed)
        block = _block(columns, groups, workers, LINE_BYTES * (min(depth, DEPTH) + outputs))
        units = -(-columns // block) * groups
        parts = 1 if units >= workers else min(panels, -(-workers // units))
        scratch = workspace("scratch", (workers, scratch_size(block, parts, panels, depth, w.itemsize)), w.dtype)
        correlate(
            as_rows(x, geometry),
            taps.rows,
            taps.columns,
            taps.stride,
            packed,
            table,
            as_rows(y, geometry),
            taps.out_rows,
            *taps.out_columns,
            block,
            parts,
            scratch,
        )


@lru_cache(maxsize=512)
def _block(columns: int, groups: int, workers: int, column_bytes: int) -> int:
    """How many panels of positions make a block.

    Many share a pass over the weights, and read longer runs of the input; but a block should stay in the cache, and the
    busiest thread must not have much more to do than the others.
    """
    most = min(columns, max(LEAST_BLOCK, CACHE // column_bytes))

    def busiest(block: int) -> int:
        """Threads take units in turn; the last of each group is short."""
        units = groups * -(-columns // block)
        missing = units // groups * block - columns

        def taken(units: int, worker: int) -> int:
            return (units - worker + workers - 1) // workers

        return max(
            taken(units, worker) * block - (taken(units, worker) - taken(units - groups, worker)) * missing
            for worker in range(workers)
        )

    loads = {block: busiest(block) for block in range(1, most + 1)}
    least = min(loads.values())
    return max(block for block, load in loads.items() if load <= 1.02 * least)
