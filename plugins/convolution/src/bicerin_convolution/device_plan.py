"""Convolution on a device: im2col by a kernel of `im2col.cu`, and the products of matrices by cuBLAS.

The im2col matrix of an image, `(C * kernel, positions)`, turns each of the three products into one of matrices; see
`reference`. A block of images is unfolded at a time.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from math import prod
from typing import Any

import numpy as np

from bicerin.device import CudaSource
from bicerin.layer import Blob, Layer
from bicerin_convolution.geometry import Geometry
from bicerin_convolution.problem import Problem

CUDA = CudaSource(__file__, "im2col.cu")

#: Bytes of im2col matrix to unfold at a time, and of weight gradients to add up.
WORKSPACE = 64 << 20


class Unfolding:
    """im2col and col2im, between `x (N, C, spatial...)` and columns `(N, C, kernel..., output...)`, on a device."""

    def __init__(self, layer: Layer, geometry: Geometry, spatial: tuple[int, ...], output: tuple[int, ...]) -> None:
        self._kernels = CUDA.on(layer.device, layer.dtype)
        self._axes = len(spatial)
        sizes = (spatial, output, geometry.kernel, geometry.stride, geometry.pad, geometry.dilation)
        self._flat = self._axes in (1, 2)
        if self._flat:
            # One axis is the second of two, the first of which is 1 long.
            missing = 2 - self._axes
            defaults = (1, 1, 1, 1, 0, 1)
            self._sizes: tuple[Any, ...] = tuple(
                chain.from_iterable((default,) * missing + size for default, size in zip(defaults, sizes, strict=True))
            )
        else:
            table = Blob((max(1, self._axes), len(sizes)), np.int32, layer.device, "sizes")
            if self._axes:
                table.data[...] = np.array(sizes, np.int32).T
            self._table = table

    def unfold(self, x: Any, columns: Any) -> None:
        """Write the columns."""
        if self._flat:
            self._kernels.im2col(columns.size, x, columns, *self._sizes)
        else:
            self._kernels.im2col_axes(columns.size, x, columns, self._table.const_gpu_data, self._axes)

    def fold(self, columns: Any, x: Any) -> None:
        """Write to each element of x the sum of the columns' elements that see it."""
        if self._flat:
            self._kernels.col2im(x.size, columns, x, *self._sizes)
        else:
            self._kernels.col2im_axes(x.size, columns, x, self._table.const_gpu_data, self._axes)


class DevicePlan:
    """What `Plan` is on the host; arrays are the device's."""

    def __init__(self, layer: Layer, problem: Problem) -> None:
        self._kernels = CUDA.on(layer.device, layer.dtype)
        self._xp = layer.device.xp
        self._group = problem.group
        self._pointwise = problem.geometry.is_pointwise
        self._positions = prod(problem.y_shape[2:])
        self._column_rows = problem.x_shape[1] * prod(problem.geometry.kernel)
        self._unfolding = Unfolding(layer, problem.geometry, problem.x_shape[2:], problem.y_shape[2:])
        self._column_bytes = self._column_rows * self._positions * problem.dtype.itemsize

    def __str__(self) -> str:
        return "cublas"

    def forward(self, x: Any, w: Any, bias: Any, y: Any) -> None:
        """Write y = w * x + bias."""
        matrix = self._matrix(w)
        for images in self._blocks(len(x), self._column_bytes):
            self._xp.matmul(matrix, self._columns(x[images]), out=self._matrices(y[images]))
        self._add_bias(bias, y)

    def weight_gradient(self, x: Any, dy: Any, dw: Any) -> None:
        """Add to dw."""
        total = self._matrix(dw)
        for images in self._blocks(len(x), max(self._column_bytes, dw.nbytes)):
            columns = self._columns(x[images]).swapaxes(2, 3)
            total += self._xp.matmul(self._matrices(dy[images]), columns).sum(axis=0)

    def data_gradient(self, dy: Any, w: Any, bias: Any, dx: Any) -> None:
        """Write dx, and to each of its channels add the bias that a deconvolution has."""
        matrix = self._matrix(w).swapaxes(1, 2)
        for images in self._blocks(len(dx), self._column_bytes):
            part = dx[images]
            if self._pointwise:
                self._xp.matmul(matrix, self._matrices(dy[images]), out=self._matrices(part))
            else:
                self._unfolding.fold(self._xp.matmul(matrix, self._matrices(dy[images])), part)
        self._add_bias(bias, dx)

    def add_bias_gradient(self, dy: Any, db: Any) -> None:
        """db `(K,)` += the sums of dy `(N, K, positions...)`."""
        self._kernels.bias_gradient.blocks(len(db), dy, db, *dy.shape[:2], prod(dy.shape[2:]))

    def _columns(self, x: Any) -> Any:
        """The im2col matrices of some images, `(N, group, rows / group, positions)`."""
        if self._pointwise:
            return self._matrices(x)
        columns = self._xp.empty((len(x), self._column_rows, self._positions), x.dtype)
        self._unfolding.unfold(x, columns)
        return self._matrices(columns)

    def _matrix(self, w: Any) -> Any:
        return w.reshape(self._group, w.shape[0] // self._group, prod(w.shape[1:]))

    def _matrices(self, array: Any) -> Any:
        """`(N, channels, positions...)` as `(N, group, channels / group, positions)`."""
        return array.reshape(len(array), self._group, array.shape[1] // self._group, prod(array.shape[2:]))

    def _add_bias(self, bias: Any, y: Any) -> None:
        if bias is not None:
            self._kernels.add_bias(y.size, bias, y, y.shape[1], prod(y.shape[2:]))

    @staticmethod
    def _blocks(number: int, size: int) -> Iterator[slice]:
        images = max(1, WORKSPACE // max(1, size))
        return (slice(first, first + images) for first in range(0, number, images))
