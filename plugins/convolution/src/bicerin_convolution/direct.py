"""Convolution row by row, for depthwise and other narrow groups; any shape, stride, pad, dilation and number of axes.

The functions prepare the products of `reference`, with the same results.
"""

from __future__ import annotations

from math import prod

import numpy as np

from bicerin.kernels import Finish, workers_for
from bicerin.kernels.finishing import FinishTable
from bicerin_convolution.direct_kernels import add_row_products, correlate_rows
from bicerin_convolution.problem import Problem
from bicerin_convolution.taps import Taps, forward_taps, row_shape
from bicerin_convolution.walks import Walks


class Correlation:
    """y = weights * x, finished, on one walk over y.

    The weights are `(G, M, C, kernel)`; turned, where x is dy and y is dx, `(G, C, M, kernel)`.
    """

    def __init__(self, problem: Problem, taps: Taps, turned: bool) -> None:
        x_shape, y_shape = (problem.y_shape, problem.x_shape) if turned else (problem.x_shape, problem.y_shape)
        self._taps, self._turned = taps, turned
        self._x_shape, self._y_shape = row_shape(x_shape, problem.geometry), row_shape(y_shape, problem.geometry)
        self._w_shape = problem.grouped_weight_shape
        self._finish = FinishTable(y_shape[1], problem.dtype)
        self._workers = workers_for(x_shape[1] // problem.group * taps.taps.size * prod(y_shape))

    def __call__(self, x: np.ndarray, w: np.ndarray, finish: Finish, y: np.ndarray, version: int | None = None) -> None:
        taps, matrix = self._taps, w.reshape(self._w_shape)
        correlate_rows(
            x.reshape(self._x_shape),
            taps.rows,
            taps.columns,
            taps.stride,
            taps.taps,
            matrix.swapaxes(1, 2) if self._turned else matrix,
            self._finish.of(finish),
            y.reshape(self._y_shape),
            taps.out_rows,
            *taps.out_columns,
            self._workers,
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
