"""Convolution row by row, for depthwise and other narrow groups; any shape, stride, pad, dilation and number of axes.

The functions are those of `reference`, with the same results.
"""

from __future__ import annotations

from math import prod

import numpy as np

from bicerin.pointwise import Finish
from bicerin_convolution.direct_kernels import add_row_products, correlate_rows
from bicerin_convolution.finish import finish_table
from bicerin_convolution.geometry import Geometry
from bicerin_convolution.taps import Taps, as_rows, data_gradient_taps, forward_taps, with_rows
from bicerin_convolution.threads import threads


def forward(
    x: np.ndarray, w: np.ndarray, finish: np.ndarray | Finish | None, geometry: Geometry, group: int, y: np.ndarray
) -> None:
    """Write y."""
    matrix = w.reshape(group, w.shape[0] // group, w.shape[1], -1)
    _correlate(x, matrix, finish, y, forward_taps(*with_rows(geometry, x, y)), geometry)


def weight_gradient(x: np.ndarray, dy: np.ndarray, geometry: Geometry, group: int, dw: np.ndarray) -> None:
    """Add to dw."""
    taps = forward_taps(*with_rows(geometry, x, dy))
    matrix = dw.reshape(group, dw.shape[0] // group, dw.shape[1], -1)
    with threads(dw.size * len(x) * prod(dy.shape[2:])):
        add_row_products(as_rows(x, geometry), taps.rows, taps.columns, taps.stride, as_rows(dy, geometry), matrix)


def data_gradient(
    dy: np.ndarray, w: np.ndarray, bias: np.ndarray | None, geometry: Geometry, group: int, dx: np.ndarray
) -> None:
    """Write dx, and add to its channels the bias that a deconvolution has."""
    matrix = w.reshape(group, w.shape[0] // group, w.shape[1], -1).swapaxes(1, 2)
    for taps in data_gradient_taps(*with_rows(geometry, dx, dy)):
        _correlate(dy, matrix, bias, dx, taps, geometry)


def _correlate(
    x: np.ndarray, w: np.ndarray, finish: np.ndarray | Finish | None, y: np.ndarray, taps: Taps, geometry: Geometry
) -> None:
    table = finish_table(finish, y.shape[1], y.dtype)
    with threads(w.shape[2] * taps.taps.size * y.size):
        correlate_rows(
            as_rows(x, geometry),
            taps.rows,
            taps.columns,
            taps.stride,
            taps.taps,
            w,
            table,
            as_rows(y, geometry),
            taps.out_rows,
            *taps.out_columns,
        )
