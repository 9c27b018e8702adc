"""Convolution row by row, for depthwise and other narrow groups; any shape, stride, pad, dilation and number of axes.

The functions prepare the products of `reference`, with the same results.
"""

from __future__ import annotations

from math import prod

import numpy as np

from bicerin.kernels import Finish, workers_for
from bicerin.kernels.finishing import FinishTable
from bicerin.kernels.panel import VECTOR_BYTES
from bicerin_convolution.bands import Bands
from bicerin_convolution.direct_gradient_kernels import add_row_products
from bicerin_convolution.direct_kernels import correlate_rows, scratch_size
from bicerin_convolution.problem import Problem
from bicerin_convolution.taps import Taps, forward_taps, row_shape
from bicerin_convolution.walks import Walks
from bicerin_convolution.workspace import workspace

#: Bytes of input that are laid out together, in the first-level cache.
BAND = 24 << 10


class Correlation:
    """y = weights * x, finished, on one walk over y.

    The weights are `(G, M, C, kernel)`; turned, where x is dy and y is dx, `(G, C, M, kernel)`.
    """

    def __init__(self, problem: Problem, taps: Taps, turned: bool) -> None:
        x_shape, y_shape = (problem.y_shape, problem.x_shape) if turned else (problem.x_shape, problem.y_shape)
        self._taps, self._turned, self._dtype = taps, turned, problem.dtype
        self._x_shape, self._y_shape = row_shape(x_shape, problem.geometry), row_shape(y_shape, problem.geometry)
        self._w_shape = problem.grouped_weight_shape
        self._finish = FinishTable(y_shape[1], problem.dtype)
        channels, lanes = x_shape[1] // problem.group, VECTOR_BYTES // problem.dtype.itemsize
        workers = workers_for(channels * taps.taps.size * prod(y_shape))
        self._bands = bands = Bands.of(taps, lanes, BAND // (channels * problem.dtype.itemsize))
        rows = int(np.diff(bands.outputs).max(initial=0))
        size = scratch_size(channels, bands.plane, taps.taps.size, rows, bands.vectors, lanes)
        self._scratch_shape = (workers, size)

    def __call__(self, x: np.ndarray, w: np.ndarray, finish: Finish, y: np.ndarray, version: int | None = None) -> None:
        taps, bands, matrix = self._taps, self._bands, w.reshape(self._w_shape)
        correlate_rows(
            x.reshape(self._x_shape),
            taps.stride,
            bands.outputs,
            bands.starts,
            bands.sources,
            bands.slots,
            bands.columns,
            bands.shifts,
            bands.stretch,
            bands.pitch,
            bands.plane,
            bands.vectors,
            taps.taps,
            matrix.swapaxes(1, 2) if self._turned else matrix,
            self._finish.of(finish),
            y.reshape(self._y_shape),
            taps.out_rows,
            *taps.out_columns,
            workspace("scratch", self._scratch_shape, self._dtype),
        )


class WeightGradient:
    """dw += the sums over images and positions of dy times x."""

    def __init__(self, problem: Problem) -> None:
        self._taps = forward_taps(problem)
        self._x_shape = row_shape(problem.x_shape, problem.geometry)
        self._dy_shape = row_shape(problem.y_shape, problem.geometry)
        self._dw_shape = problem.grouped_weight_shape
        self._workers = workers_for(prod(self._dw_shape) * self._dy_shape[0] * prod(self._dy_shape[2:]))

    def __call__(self, x: np.ndarray, dy: np.ndarray, dw: np.ndarray) -> None:
        taps = self._taps
        add_row_products(
            x.reshape(self._x_shape),
            taps.rows,
            taps.columns,
            taps.stride,
            dy.reshape(self._dy_shape),
            dw.reshape(self._dw_shape),
            self._workers,
        )


def forward(problem: Problem) -> Correlation:
    return Correlation(problem, forward_taps(problem), turned=False)


def weight_gradient(problem: Problem) -> WeightGradient:
    return WeightGradient(problem)


def data_gradient(problem: Problem) -> Walks:
    return Walks(problem, Correlation)
