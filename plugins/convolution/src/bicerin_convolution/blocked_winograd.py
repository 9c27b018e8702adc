"""Winograd's convolution of arrays whose channels are in blocks of a vector, as other libraries have them.

The algorithm is that of `winograd`. The arrays are flat, `(N, blocks of C, H, W, lanes)` with zeros for missing
channels.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod

import numpy as np

from bicerin.kernels import workers_for
from bicerin.kernels.panel import ROWS, VECTOR_BYTES, VECTORS
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


def lanes_of(dtype: np.dtype) -> int:
    """Channels in a block."""
    return VECTOR_BYTES // dtype.itemsize


def applies_blocked(problem: Problem) -> bool:
    """Whether this algorithm can do it at all. Channels of a group must be whole blocks, unless there is one group."""
    lanes = lanes_of(problem.dtype)
    _, outputs, channels, _ = problem.grouped_weight_shape
    whole = problem.group == 1 or not (outputs % lanes or channels % lanes)
    return whole and lanes % ROWS == 0 and applies(problem.geometry) and bool(prod(problem.y_shape))


class BlockedWinograd:
    """y = f(weights * x + shift + addend), with f(v) = v where v > 0, else slope * v.

    Args:
        problem: what is convolved.
        turned: whether x is the gradient of the problem's y, and y that of its x; the weights are the same.
    """

    def __init__(self, problem: Problem, turned: bool = False) -> None:
        x_shape, y_shape = (problem.y_shape, problem.x_shape) if turned else (problem.x_shape, problem.y_shape)
        geometry, groups, dtype = problem.geometry, problem.group, problem.dtype
        self._dtype, self._turned, self._w_shape = dtype, turned, problem.grouped_weight_shape
        lanes = lanes_of(dtype)
        last = geometry.kernel[0] - 1
        pad = (last - geometry.pad[0], last - geometry.pad[1]) if turned else geometry.pad
        tile = PATCH - last
        depth, outputs = (_whole(shape[1] // groups, lanes) for shape in (x_shape, y_shape))
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
        self._shift = np.zeros(groups * outputs, dtype)

    def transform(self, w: np.ndarray, keep: bool = True) -> np.ndarray:
        """The weights, `(M, C / group, kernel...)`, as the products read them.

        Args:
            keep: for the caller to keep; else valid until the next call of this or another product.
        """
        shape, dtype = self._weights_shape, self._dtype
        packed = aligned_zeros(shape, dtype) if keep else workspace("weights", shape, dtype)
        kernels = workspace("scratch", self._kernels_shape, dtype)
        w = np.ascontiguousarray(w).reshape(self._w_shape)
        transform_blocked_weights(w, self._turned, self._sizes[2], packed, kernels)
        return packed

    def bind(
        self,
        x: np.ndarray,
        packed: np.ndarray,
        y: np.ndarray,
        shift: np.ndarray,
        slope: float = 1.0,
        addend: np.ndarray | None = None,
    ) -> Callable[[], int]:
        """What computes y from these arrays, as often as it is called, and says 0.

        Args:
            packed: of `transform`.
            shift: of each output; empty for zeros.
        """
        dtype, patches, products = self._dtype, self._patches_shape, self._products_shape
        padded = self._shift.copy()
        padded[: shift.size] = shift
        arguments = (x, *self._tiles, packed, self._sizes, padded, dtype.type(slope))
        more = (y if addend is None else addend, addend is not None, y, self._scope)

        def run() -> int:
            # The scratch memory is that of the thread that runs it.
            scratch = workspace("scratch", products, dtype)
            convolve_blocked(*arguments, *more, workspace("patches", patches, dtype), scratch)
            return 0

        return run


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
        depth, whole = _whole(channels, lanes), _whole(outputs, lanes)
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


def _whole(channels: int, lanes: int) -> int:
    """The channels of whole blocks."""
    return -(-channels // lanes) * lanes


def _places(size: int, out_size: int, pad: int, tile: int, side: int, step: int) -> np.ndarray:
    """The places of the rows of each row of tiles, `side` of each, one after the other; -1 is outside.

    Args:
        size, out_size: of x and y.
        tile: rows from one tile to the next.
        step: elements from one row of pixels to the next.
    """
    rows = np.arange(-(-out_size // tile))[:, None] * tile + np.arange(side) - pad
    return np.where((rows >= 0) & (rows < size), rows * step, -1).ravel()
