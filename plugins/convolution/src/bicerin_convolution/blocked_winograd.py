"""Winograd's convolution of arrays whose channels are in blocks of a vector: nothing is packed before it."""

from __future__ import annotations

from math import prod

import numpy as np

from bicerin.kernels import workers_for
from bicerin.kernels.panel import ROWS, VECTORS
from bicerin_convolution.blocked_forward import BlockedForward, Finishing, in_whole_blocks, lanes_of
from bicerin_convolution.blocked_winograd_kernels import (
    POINTS,
    add_blocked_bias_gradient,
    add_blocked_gradient,
    convolve_blocked,
    gradients_size,
    panels_of,
    patches_size,
    products_size,
    sums_size,
    transform_blocked_weights,
    weights_size,
)
from bicerin_convolution.problem import Problem
from bicerin_convolution.winograd import applies
from bicerin_convolution.winograd_transforms import PATCH
from bicerin_convolution.workspace import aligned_zeros, workspace

#: Bytes of transformed tiles for each thread, which all threads share.
CACHE = 1 << 20
#: The most tiles that a thread multiplies at a time, and how many portions of the work there are for it at least.
GROUP = 32
PORTIONS = 4
#: Tiles over which the gradient of the weights is summed up at least before it is transformed back.
LEAST_TILES = 128


def applies_blocked(problem: Problem) -> bool:
    """Whether this algorithm can do it at all. Channels of a group must be whole blocks, unless there is one group."""
    lanes = lanes_of(problem.dtype)
    _, outputs, channels, _ = problem.grouped_weight_shape
    whole = problem.group == 1 or not (outputs % lanes or channels % lanes)
    return whole and lanes % ROWS == 0 and applies(problem.geometry) and bool(prod(problem.y_shape))


class BlockedWinograd(BlockedForward):
    """By F(4x4, 3x3) or F(2x2, 5x5).

    Args:
        problem: what is convolved.
        turned: whether x is the gradient of the problem's y, and y that of its x; the weights are the same.
    """

    def __init__(self, problem: Problem, turned: bool = False) -> None:
        x_shape, y_shape = (problem.y_shape, problem.x_shape) if turned else (problem.x_shape, problem.y_shape)
        geometry, groups, dtype = problem.geometry, problem.group, problem.dtype
        lanes = lanes_of(dtype)
        depth, outputs = (in_whole_blocks(shape[1] // groups, dtype) for shape in (x_shape, y_shape))
        super().__init__(groups * outputs, dtype)
        self._turned, self._w_shape = turned, problem.grouped_weight_shape
        last = geometry.kernel[0] - 1
        pad = (last - geometry.pad[0], last - geometry.pad[1]) if turned else geometry.pad
        tile = PATCH - last
        _, _, height, width = x_shape
        self._tiles = (
            _places(height, y_shape[2], pad[0], tile, PATCH, width * lanes),
            _places(width, y_shape[3], pad[1], tile, PATCH, lanes),
            height * width * lanes,
            np.zeros(lanes, dtype),
        )
        self._sizes = (y_shape[0], groups, depth, outputs, *y_shape[2:], tile)
        rows, columns = (places.size // PATCH for places in self._tiles[:2])
        rows *= y_shape[0]
        workers = workers_for(groups * outputs * depth * POINTS * rows * columns)
        fits = max(1, workers * CACHE // (POINTS * groups * depth * columns * dtype.itemsize))
        some = -(-rows // -(-rows // fits))
        panels = panels_of(outputs // lanes)
        portion = some * columns * groups * panels // (PORTIONS * workers)
        group = max(ROWS, min(GROUP, portion) // ROWS * ROWS)
        self._scope = some, group, workers
        self._patches_shape = (patches_size(some * columns, groups * depth, lanes),)
        self._products_shape = (workers, products_size(group, lanes))
        self._kernels_shape = (workers, (25 + 1) * VECTORS * lanes)
        self._weights_shape = (weights_size(groups, outputs // lanes, depth, lanes),)

    def transform(self, w: np.ndarray, keep: bool = True) -> np.ndarray:
        shape, dtype = self._weights_shape, self._dtype
        packed = aligned_zeros(shape, dtype) if keep else workspace("weights", shape, dtype)
        kernels = workspace("scratch", self._kernels_shape, dtype)
        w = np.ascontiguousarray(w).reshape(self._w_shape)
        transform_blocked_weights(w, self._turned, self._sizes[2], packed, kernels)
        return packed

    def compute(self, x: np.ndarray, packed: np.ndarray, finishing: Finishing, y: np.ndarray) -> None:
        # The scratch memory is that of the thread that runs it.
        patches = workspace("patches", self._patches_shape, self._dtype)
        products = workspace("scratch", self._products_shape, self._dtype)
        convolve_blocked(x, *self._tiles, packed, self._sizes, *finishing, y, self._scope, patches, products)


class BlockedWinogradGradient:
    """dw += the gradient of the weights, and db += that of the bias.

    Args:
        problem: what is convolved.
    """

    def __init__(self, problem: Problem) -> None:
        x_shape, y_shape, geometry, dtype = problem.x_shape, problem.y_shape, problem.geometry, problem.dtype
        groups, outputs, channels, _ = self._w_shape = problem.grouped_weight_shape
        self._dtype = dtype
        lanes = lanes_of(dtype)
        tile = PATCH + 1 - geometry.kernel[0]
        depth, whole = in_whole_blocks(channels, dtype), in_whole_blocks(outputs, dtype)
        _, _, height, width = x_shape
        images, _, out_height, out_width = y_shape
        self._tiles = (
            _places(height, out_height, geometry.pad[0], tile, PATCH, width * lanes),
            _places(width, out_width, geometry.pad[1], tile, PATCH, lanes),
            height * width * lanes,
            np.zeros(lanes, dtype),
        )
        self._out_tiles = (
            _places(out_height, out_height, 0, tile, tile, out_width * lanes),
            _places(out_width, out_width, 0, tile, tile, lanes),
            out_height * out_width * lanes,
        )
        blocks = whole // lanes
        panels = panels_of(blocks)
        ends = np.arange(panels + 1) * blocks // panels
        inside = np.arange(blocks)
        panel = np.searchsorted(ends, inside, side="right") - 1
        self._panels = panel * VECTORS + inside - ends[panel]
        self._sizes = (images, groups, depth, whole, tile)
        rows, columns = images * (self._tiles[0].size // PATCH), self._tiles[1].size // PATCH
        workers = workers_for(groups * whole * depth * POINTS * rows * columns)
        row_bytes = POINTS * groups * (depth + whole) * columns * dtype.itemsize
        fits = max(1, -(-LEAST_TILES // columns), 2 * workers * CACHE // row_bytes)
        self._some = -(-rows // -(-rows // fits))
        tiles = self._some * columns
        self._patches_shape = (patches_size(tiles, groups * depth, lanes),)
        self._gradients_shape = (gradients_size(tiles, groups, blocks, lanes),)
        self._scratch_shape = (workers, sums_size(lanes))

    def __call__(self, x: np.ndarray, dy: np.ndarray, dw: np.ndarray, bias_diff: np.ndarray | None = None) -> None:
        dtype = self._dtype
        scratch = workspace("scratch", self._scratch_shape, dtype)
        add_blocked_gradient(
            x,
            *self._tiles,
            dy,
            *self._out_tiles,
            self._panels,
            dw.reshape(self._w_shape),
            self._sizes,
            self._some,
            workspace("patches", self._patches_shape, dtype),
            workspace("gradients", self._gradients_shape, dtype),
            scratch,
        )
        if bias_diff is not None:
            add_blocked_bias_gradient(dy, self._sizes[0], self._out_tiles[2], bias_diff, len(scratch))


def _places(size: int, out_size: int, pad: int, tile: int, side: int, step: int) -> np.ndarray:
    """The places of the rows of each row of tiles, `side` of each, one after the other; -1 is outside.

    Args:
        size, out_size: of x and y.
        tile: rows from one tile to the next.
        step: elements from one row of pixels to the next.
    """
    rows = np.arange(-(-out_size // tile))[:, None] * tile + np.arange(side) - pad
    return np.where((rows >= 0) & (rows < size), rows * step, -1).ravel()
