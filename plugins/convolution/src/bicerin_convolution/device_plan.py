"""Convolution on a device: im2col by a kernel of `im2col.cu`, and the products of matrices by cuBLAS.

The im2col matrix of an image, `(C * kernel, positions)`, turns each of the three products into one of matrices; see
`reference`. A block of images is unfolded at a time.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from typing import Any

from bicerin.kernels import Finish
from bicerin.kernels.finishing import finish_array
from bicerin_convolution.problem import Problem
from bicerin_convolution.unfolding import DeviceUnfolding

#: Bytes of im2col matrix to unfold at a time, and of weight gradients to add up.
WORKSPACE = 64 << 20


class DevicePlan:
    """What `Plan` is on the host; arrays are the device's.

    Args:
        kernels: those of `im2col.cu`.
        xp: the device's array module.
    """

    def __init__(self, kernels: Any, problem: Problem, xp: Any) -> None:
        self._kernels = kernels
        self._xp = xp
        self._group = problem.group
        self._pointwise = problem.geometry.is_pointwise
        self._positions = prod(problem.y_shape[2:])
        self._column_rows = problem.x_shape[1] * prod(problem.geometry.kernel)
        self._unfolding = DeviceUnfolding(kernels, problem.geometry, problem.x_shape[2:], problem.y_shape[2:], xp)
        self._column_bytes = self._column_rows * self._positions * problem.dtype.itemsize

    def __str__(self) -> str:
        return "cublas"

    def forward(self, x: Any, w: Any, finish: Finish, y: Any, version: int | None = None) -> None:
        """Write y = w * x, finished."""
        matrix = self._matrix(w)
        for images in self._blocks(len(x), self._column_bytes):
            self._xp.matmul(matrix, self._columns(x[images]), out=self._matrices(y[images]))
        self._finish(finish, y)

    def weight_gradient(self, x: Any, dy: Any, dw: Any) -> None:
        """Add to dw."""
        total = self._matrix(dw)
        for images in self._blocks(len(x), max(self._column_bytes, dw.nbytes)):
            columns = self._columns(x[images]).swapaxes(2, 3)
            total += self._xp.matmul(self._matrices(dy[images]), columns).sum(axis=0)

    def data_gradient(self, dy: Any, w: Any, finish: Finish, dx: Any, version: int | None = None) -> None:
        """Write dx, finished as a deconvolution's top is."""
        matrix = self._matrix(w).swapaxes(1, 2)
        for images in self._blocks(len(dx), self._column_bytes):
            part = dx[images]
            if self._pointwise:
                self._xp.matmul(matrix, self._matrices(dy[images]), out=self._matrices(part))
            else:
                self._unfolding.fold(self._xp.matmul(matrix, self._matrices(dy[images])), part)
        self._finish(finish, dx)

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

    def _finish(self, finish: Finish, y: Any) -> None:
        if finish.scale.size or finish.slope != 1:
            finish_array(self._xp, y, *finish)
        elif finish.shift.size:
            self._kernels.add_bias(y.size, finish.shift, y, y.shape[1], prod(y.shape[2:]))

    @staticmethod
    def _blocks(number: int, size: int) -> Iterator[slice]:
        images = max(1, WORKSPACE // max(1, size))
        return (slice(first, first + images) for first in range(0, number, images))
