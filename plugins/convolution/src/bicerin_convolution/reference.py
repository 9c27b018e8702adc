"""Convolution in NumPy, for any number of spatial axes: what the compiled algorithms are compared to.

Arrays are `x (N, C, spatial...)`, `w (K, C/group, kernel...)`, `y (N, K, output...)`; a deconvolution is the same
arithmetic with x and y in each other's place. The im2col matrix of an image, `(C * kernel, positions)`, turns each of
the three products into one of matrices:

    forward           y[n]  =  w . columns(x[n]), finished
    weight gradient   dw   +=  sum over n of dy[n] . columns(x[n])^T
    data gradient     dx[n] =  col2im(w^T . dy[n]), finished

A block of images is unfolded at a time, so that the matrix stays small. As every algorithm does, the three functions
prepare these products for a problem; what they give takes the arrays.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import product
from math import prod
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided

from bicerin.kernels import Finish
from bicerin.kernels.finishing import finish_array
from bicerin_convolution.geometry import Geometry
from bicerin_convolution.problem import Problem

Forward = Callable[..., None]
WeightGradient = Callable[[np.ndarray, np.ndarray, np.ndarray], None]
DataGradient = Callable[..., None]

#: Bytes of im2col matrix to unfold at a time.
WORKSPACE = 8 << 20


def forward(problem: Problem) -> Forward:
    """y from `(x, w, finish, y)`; the finish is of K channels."""

    def run(x: np.ndarray, w: np.ndarray, finish: Finish, y: np.ndarray, version: int | None = None) -> None:
        matrix = w.reshape(group, w.shape[0] // group, -1)
        for images in _blocks(problem):
            columns = unfold(x[images], geometry)
            part = y[images]
            np.matmul(
                matrix,
                columns.reshape(len(part), group, matrix.shape[2], prod(y.shape[2:])),
                out=part.reshape(len(part), *matrix.shape[:2], prod(y.shape[2:])),
            )
        finish_array(np, y, *finish)

    geometry, group = problem.geometry, problem.group
    return run


def weight_gradient(problem: Problem) -> WeightGradient:
    """Adds to dw, from `(x, dy, dw)`."""

    def run(x: np.ndarray, dy: np.ndarray, dw: np.ndarray) -> None:
        matrix = dw.reshape(group, dw.shape[0] // group, -1)
        for images in _blocks(problem):
            columns = unfold(x[images], geometry)
            part = dy[images]
            columns = columns.reshape(len(part), group, matrix.shape[2], prod(dy.shape[2:]))
            part = part.reshape(len(part), *matrix.shape[:2], prod(dy.shape[2:]))
            matrix += np.matmul(part, columns.swapaxes(2, 3)).sum(axis=0)

    geometry, group = problem.geometry, problem.group
    return run


def data_gradient(problem: Problem) -> DataGradient:
    """dx from `(dy, w, finish, dx)`; the finish, of C channels, is that of a deconvolution."""

    def run(dy: np.ndarray, w: np.ndarray, finish: Finish, dx: np.ndarray, version: int | None = None) -> None:
        matrix = w.reshape(group, w.shape[0] // group, -1).swapaxes(1, 2)
        for images in _blocks(problem):
            part = dy[images]
            part = part.reshape(len(part), group, matrix.shape[2], prod(dy.shape[2:]))
            columns = np.matmul(matrix, part).reshape(len(part), dx.shape[1], *geometry.kernel, *dy.shape[2:])
            fold(columns, geometry, dx[images])
        finish_array(np, dx, *finish)

    geometry, group = problem.geometry, problem.group
    return run


def unfold(x: np.ndarray, geometry: Geometry) -> np.ndarray:
    """im2col without the copy: a view of x (padded, where there is a pad) of shape `(N, C, kernel..., output...)`."""
    output = geometry.output_shape(x.shape[2:])
    if any(geometry.pad):
        x = np.pad(x, ((0, 0), (0, 0), *((pad, pad) for pad in geometry.pad)))
    steps = x.strides[2:]
    return as_strided(
        x,
        x.shape[:2] + geometry.kernel + output,
        x.strides[:2]
        + tuple(step * dilation for step, dilation in zip(steps, geometry.dilation, strict=True))
        + tuple(step * stride for step, stride in zip(steps, geometry.stride, strict=True)),
        writeable=False,
    )


def fold(columns: Any, geometry: Geometry, x: np.ndarray) -> None:
    """col2im, the transpose of `unfold`: write to each element of x the sum of the columns' elements that saw it."""
    output = columns.shape[-len(geometry.kernel) :] if geometry.kernel else ()
    padded: Any = np.zeros(
        x.shape[:2] + tuple(s + 2 * p for s, p in zip(x.shape[2:], geometry.pad, strict=True)), x.dtype
    )
    for offset in product(*map(range, geometry.kernel)):
        window = tuple(
            slice(o * dilation, o * dilation + (size - 1) * stride + 1, stride)
            for o, dilation, stride, size in zip(offset, geometry.dilation, geometry.stride, output, strict=True)
        )
        padded[(..., *window)] += columns[(slice(None), slice(None), *offset)]
    inside = tuple(slice(pad, pad + size) for pad, size in zip(geometry.pad, x.shape[2:], strict=True))
    x[...] = padded[(..., *inside)]


def _blocks(problem: Problem) -> Iterator[slice]:
    images, channels = problem.x_shape[:2]
    bytes_each = channels * problem.geometry.size * prod(problem.y_shape[2:]) * problem.dtype.itemsize
    step = max(1, WORKSPACE // max(1, bytes_each))
    return (slice(first, first + step) for first in range(0, images, step))
