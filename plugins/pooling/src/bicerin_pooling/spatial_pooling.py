"""Pooling over any number of axes: first of the planes of the last two, then along each axis before them.

A window's greatest value is the greatest of the greatest values of its planes, and its mean the mean of their means,
which all have one area. So Pooling's kernels, for the host and for devices, do it all, in fewer comparisons than there
are values in a window.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from math import prod
from typing import NamedTuple

from bicerin.errors import ShapeError
from bicerin.layer import Blob, BlobCounts, Layer
from bicerin_pooling.plane_pooling import OPERATIONS, PlanePooling, plane_pooling
from bicerin_pooling.window import Window


class Windows(NamedTuple):
    """The size, step and padding of the windows along each spatial axis; `ceil`: whether the last may reach over."""

    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    pad: tuple[int, ...]
    ceil: bool


class SpatialPoolingLayer(Layer):
    """Bottom: `(N, C, spatial...)`, of one spatial axis or more. Top: `(N, C, spatial'...)`.

    Attributes:
        method: "MAX" or "AVE"; of AVE, padding counts as zeros, and in the window's area up to size + pad.
        windows: the present ones.
    """

    counts = BlobCounts(bottom=1, top=1)
    allows_in_place = False
    operations = OPERATIONS
    method: str
    windows: Windows

    def layer_set_up(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        self._pooled_from: tuple[int, ...] | None = None
        self._steps: list[PlanePooling] = []
        #: What the steps but the last write.
        self._between: list[Blob] = []

    @abstractmethod
    def windows_of(self, spatial: tuple[int, ...]) -> Windows:
        """The windows over axes of these lengths."""

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        shape = bottom[0].shape
        if shape != self._pooled_from:
            if len(shape) < 3:
                raise ShapeError(f"the bottom must have the shape (N, C, spatial...), not {shape}.")
            self.windows = self.windows_of(shape[2:])
            for name, sizes in (("kernel", self.windows.kernel), ("stride", self.windows.stride)):
                if min(sizes) < 1:
                    raise ShapeError(f"the sizes of the {name} must be greater than 0, not {sizes}.")
            self._plan(shape)
            self._pooled_from = shape
        top[0].reshape(*self._top_shape)

    def _plan(self, shape: tuple[int, ...]) -> None:
        """The steps: each pools planes whose second axis is all that comes after an axis, but for the last two."""
        kernel, stride, pad, ceil = self.windows
        sizes = list(shape)
        self._steps = []
        last = len(sizes) - 1
        axes: list[tuple[int, ...]] = [(last - 1, last)] if len(kernel) > 1 else [(last,)]
        axes += [(axis,) for axis in range(axes[0][0] - 1, 1, -1)]
        for step in axes:
            first, *second = (axis - 2 for axis in step)
            window = Window(
                kernel[first], kernel[second[0]] if second else 1,
                stride[first], stride[second[0]] if second else 1,
                pad[first], pad[second[0]] if second else 0,
            )  # fmt: skip
            if window == (1, 1, 1, 1, 0, 0) and (self._steps or step != axes[-1]):
                continue
            plane = (prod(sizes[: step[0]]), sizes[step[0]], prod(sizes[step[0] + 1 :]))
            pooling = plane_pooling(self.method, self, window, (1, *plane), ceil)
            sizes[step[0]] = pooling.shape[2]
            if second:
                sizes[step[1]] = pooling.shape[3]
            self._steps.append(pooling)
        self._top_shape = tuple(sizes)
        self._between = [
            self.new_blob(step.shape, f"pooled along {place}") for place, step in enumerate(self._steps[:-1])
        ]

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        data = [bottom[0].data, *(blob.data for blob in self._between), top[0].data]
        for place, step in enumerate(self._steps):
            step.forward(data[place], data[place + 1])

    def backward(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        if not propagate_down[0]:
            return
        blobs = [bottom[0], *self._between, top[0]]
        for place in range(len(self._steps) - 1, -1, -1):
            before, after = blobs[place], blobs[place + 1]
            self._steps[place].backward(before.data, before.diff, after.data, after.diff)
