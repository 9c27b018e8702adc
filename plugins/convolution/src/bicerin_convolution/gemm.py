"""Convolution as products of packed matrices: any shape, stride, pad, dilation and number of axes.

The functions prepare the products of `reference`, with the same results.
"""

from __future__ import annotations

from functools import lru_cache
from math import prod

import numpy as np

from bicerin.kernels import Finish, workers_for
from bicerin.kernels.finishing import FinishTable, finish_array
from bicerin.kernels.panel import LINE_BYTES, ROWS, VECTOR_BYTES
from bicerin_convolution.folding_kernels import fold_products, fold_scratch_size
from bicerin_convolution.gemm_kernels import correlate, scratch_size
from bicerin_convolution.packing_kernels import DEPTH, pack_weights
from bicerin_convolution.prepared_weights import PreparedWeights
from bicerin_convolution.problem import Problem
from bicerin_convolution.taps import Taps, forward_taps, row_shape
from bicerin_convolution.walks import Walks
from bicerin_convolution.weight_gradient_kernels import LINES, add_weight_gradient, weight_scratch_size
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


class Correlation:
    """y = weights * x, finished, on one walk over y.

    The weights are `(G, M, C, kernel)`; turned, where x is dy and y is dx, `(G, C, M, kernel)`.
    """

    def __init__(self, problem: Problem, taps: Taps, turned: bool) -> None:
        x_shape, y_shape = (problem.y_shape, problem.x_shape) if turned else (problem.x_shape, problem.y_shape)
        dtype, groups = problem.dtype, problem.group
        self._dtype, self._turned, self._taps = dtype, turned, taps
        self._x_shape, self._y_shape = row_shape(x_shape, problem.geometry), row_shape(y_shape, problem.geometry)
        self._w_shape = problem.grouped_weight_shape
        self._finish = FinishTable(y_shape[1], dtype)
        self._empty = not prod(y_shape)
        if self._empty:
            return
        channels, outputs = x_shape[1] // groups, y_shape[1] // groups
        depth, panels = channels * taps.taps.size, -(-outputs // ROWS)
        positions = x_shape[0] * taps.out_rows.size * taps.out_columns[2]
        columns = -(-positions // (LINE_BYTES // dtype.itemsize))
        self._workers = workers_for(groups * outputs * depth * positions)
        self._weights = PreparedWeights(self._pack, (groups, depth, panels * ROWS), dtype)
        self._block = _block(columns, groups, self._workers, LINE_BYTES * (min(depth, DEPTH) + outputs))
        units = -(-columns // self._block) * groups
        self._parts = 1 if units >= self._workers else min(panels, -(-self._workers // units))
        size = scratch_size(self._block, self._parts, panels, depth, dtype.itemsize)
        self._scratch_shape = (self._workers, size)

    def _pack(self, w: np.ndarray, packed: np.ndarray) -> None:
        pack_weights(w.reshape(self._w_shape), self._turned, self._taps.taps, packed, self._workers)

    def __call__(self, x: np.ndarray, w: np.ndarray, finish: Finish, y: np.ndarray, version: int | None = None) -> None:
        if self._empty:
            return
        taps = self._taps
        packed = self._weights.of(w, version)
        correlate(
            x.reshape(self._x_shape),
            taps.rows,
            taps.columns,
            taps.stride,
            packed,
            self._finish.of(finish),
            y.reshape(self._y_shape),
            taps.out_rows,
            *taps.out_columns,
            self._block,
            self._parts,
            workspace("scratch", self._scratch_shape, self._dtype),
        )


class Folding:
    """dx = col2im(w^T . dy), finished, without the whole of the matrix that is folded."""

    def __init__(self, problem: Problem) -> None:
        self._taps = forward_taps(problem)
        self._dtype = problem.dtype
        self._empty = not prod(problem.x_shape)
        images, outputs, *output = problem.y_shape
        group, plane, taps = problem.group, prod(output), self._taps.taps.size
        depth, channels = outputs // group, problem.x_shape[1] // group
        self._lines = channels * taps
        self._dy_shape, self._x_shape = (images, outputs, plane), row_shape(problem.x_shape, problem.geometry)
        self._w_shape = (group, depth, self._lines, 1)
        self._workers = workers_for(outputs * self._lines * images * plane)
        self._weights = PreparedWeights(self._pack, (group, depth, _up(self._lines, ROWS)), self._dtype)
        fits = CACHE // (ROWS * taps * plane * self._dtype.itemsize)
        self._bundle = ROWS * max(1, min(fits, -(-channels // ROWS)))
        size = fold_scratch_size(self._bundle, taps, depth, plane, self._dtype.itemsize)
        self._scratch_shape = (self._workers, size)
        self._no_bias = np.zeros(problem.x_shape[1], self._dtype)

    def _pack(self, w: np.ndarray, packed: np.ndarray) -> None:
        pack_weights(w.reshape(self._w_shape), True, _ONE_TAP, packed, self._workers)

    def __call__(
        self, dy: np.ndarray, w: np.ndarray, finish: Finish, dx: np.ndarray, version: int | None = None
    ) -> None:
        if self._empty:
            return
        bias_only = not finish.scale.size and finish.slope == 1
        fold_products(
            dy.reshape(self._dy_shape),
            self._weights.of(w, version),
            self._lines,
            finish.shift if bias_only and finish.shift.size else self._no_bias,
            dx.reshape(self._x_shape),
            self._taps.rows,
            self._taps.columns,
            self._taps.stride,
            self._bundle,
            workspace("scratch", self._scratch_shape, self._dtype),
        )
        if not bias_only:
            finish_array(np, dx, *finish)

    @staticmethod
    def wins(problem: Problem) -> bool:
        """Whether to add up the im2col matrix of dx rather than to unfold dy.

        The work that goes with either is by taps and positions, times the channels of dx or those of dy.
        """
        (_, channels, *inside), (_, outputs, *output) = problem.x_shape, problem.y_shape
        taps, plane = prod(problem.geometry.kernel), prod(output)
        small = ROWS * taps * plane * problem.dtype.itemsize <= 2 * CACHE
        return taps > 1 and plane >= 32 and small and channels * plane < outputs * prod(inside)


class WeightGradient:
    """dw += dy . im2col(x)^T, for a number of the matrix's lines at a time."""

    def __init__(self, problem: Problem) -> None:
        self._taps = forward_taps(problem)
        self._dtype = problem.dtype
        images, outputs, *output = problem.y_shape
        group, itemsize = problem.group, problem.dtype.itemsize
        self._empty = not prod(problem.y_shape)
        self._lines = problem.x_shape[1] // group * self._taps.taps.size
        self._x_shape = row_shape(problem.x_shape, problem.geometry)
        self._dy_shape = (images, outputs, prod(output))
        self._dw_shape = (group, outputs // group, self._lines)
        positions = images * prod(output)
        width, lanes = LINE_BYTES // itemsize, VECTOR_BYTES // itemsize
        padded = _up(outputs // group, width)
        self._step = max(LINES, min(_up(self._lines, LINES), _up(SUMS // (group * padded * itemsize) + 1, LINES)))
        workers = workers_for(outputs * self._lines * positions)
        self._length = max(lanes, _up(-(-positions // max(1, _up(-(-positions // LENGTH), workers))), lanes))
        self._scratch_shape = (workers, weight_scratch_size(self._length, outputs // group, itemsize))
        self._sums_shape = (workers, group, self._step, padded)

    def __call__(self, x: np.ndarray, dy: np.ndarray, dw: np.ndarray) -> None:
        if self._empty:
            return
        scratch = workspace("scratch", self._scratch_shape, self._dtype)
        sums = workspace("sums", self._sums_shape, self._dtype)
        for first in range(0, self._lines, self._step):
            add_weight_gradient(
                x.reshape(self._x_shape),
                self._taps.rows,
                self._taps.columns,
                self._taps.stride,
                dy.reshape(self._dy_shape),
                dw.reshape(self._dw_shape),
                first,
                min(first + self._step, self._lines),
                self._length,
                sums,
                scratch,
            )


def forward(problem: Problem) -> Correlation:
    return Correlation(problem, forward_taps(problem), turned=False)


def weight_gradient(problem: Problem) -> WeightGradient:
    return WeightGradient(problem)


def data_gradient(problem: Problem) -> Folding | Walks:
    return Folding(problem) if prod(problem.x_shape) and Folding.wins(problem) else Walks(problem, Correlation)


def _up(number: int, multiple: int) -> int:
    return -(-number // multiple) * multiple


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
