"""Unfolding: im2col and col2im between `x (N, C, spatial...)` and columns `(N, C, kernel..., output...)`."""

from __future__ import annotations

from itertools import chain
from typing import Any

import numpy as np

from bicerin.kernels import host_operation
from bicerin_convolution import reference
from bicerin_convolution.geometry import Geometry


class Unfolding:
    """On the host."""

    def __init__(self, geometry: Geometry) -> None:
        self._geometry = geometry

    def unfold(self, x: np.ndarray, columns: np.ndarray) -> None:
        """Write the columns."""
        columns[...] = reference.unfold(x, self._geometry)

    def fold(self, columns: np.ndarray, x: np.ndarray) -> None:
        """Write to each element of x the sum of the columns' elements that see it."""
        reference.fold(columns, self._geometry, x)


class DeviceUnfolding:
    """By the kernels of `im2col.cu`, on arrays of a device in any contiguous shape; otherwise as `Unfolding`."""

    def __init__(
        self, kernels: Any, geometry: Geometry, spatial: tuple[int, ...], output: tuple[int, ...], xp: Any
    ) -> None:
        self._kernels = kernels
        self._axes = len(spatial)
        sizes = (spatial, output, geometry.kernel, geometry.stride, geometry.pad, geometry.dilation)
        self._flat = self._axes in (1, 2)
        if self._flat:
            # One axis is the second of two, the first of which is 1 long.
            missing = 2 - self._axes
            defaults = (1, 1, 1, 1, 0, 1)
            self._sizes: tuple[Any, ...] = tuple(
                chain.from_iterable(
                    (default,) * missing + tuple(size) for default, size in zip(defaults, sizes, strict=True)
                )
            )
        else:
            table = np.zeros((max(1, self._axes), len(sizes)), np.int32)
            table[: self._axes] = np.array(sizes, np.int32).T
            self._table = xp.asarray(table)

    def unfold(self, x: Any, columns: Any) -> None:
        if self._flat:
            self._kernels.im2col(columns.size, x, columns, *self._sizes)
        else:
            self._kernels.im2col_axes(columns.size, x, columns, self._table, self._axes)

    def fold(self, columns: Any, x: Any) -> None:
        if self._flat:
            self._kernels.col2im(x.size, columns, x, *self._sizes)
        else:
            self._kernels.col2im_axes(x.size, columns, x, self._table, self._axes)


@host_operation
def prepare_unfolding(geometry: Geometry, spatial: tuple[int, ...], output: tuple[int, ...], xp: Any) -> Unfolding:
    """im2col and col2im, prepared for spatial shapes; `xp` is the array module."""
    return Unfolding(geometry)


@prepare_unfolding.cuda
def prepare_unfolding_cuda(
    kernels: Any, geometry: Geometry, spatial: tuple[int, ...], output: tuple[int, ...], xp: Any
) -> DeviceUnfolding:
    return DeviceUnfolding(kernels, geometry, spatial, output, xp)
