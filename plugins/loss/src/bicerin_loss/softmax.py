"""Softmax: y = exp(x) / Σ exp(x), the sum over the classes along `axis`.

Bottom and top have one shape, any; with `axis` = 1 it is (N, C, H, W) with C classes. The largest x of each sum is
subtracted first, so that exp cannot overflow. It works in place. `engine` is accepted and changes nothing.

Source: Caffe's `SoftmaxLayer`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from bicerin.device import CudaSource
from bicerin.layer import Blob, BlobCounts, Layer
from bicerin_loss import softmax_kernels


class SoftmaxLayer(Layer):
    """With g = ∂L/∂y, the gradient is ∂L/∂x = y · (g - Σ g · y)."""

    type = "Softmax"
    counts = BlobCounts(bottom=1, top=1)
    cuda = CudaSource(__file__, "softmax.cu")

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        self.columns = class_columns(bottom[0], bottom[0].canonical_axis(self.param.softmax_param.axis))
        top[0].reshape_like(bottom[0])

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        xp = self.xp
        softmax(self, xp, bottom[0].data.reshape(self.columns), top[0].data.reshape(self.columns))

    def backward(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        xp = self.xp
        if not propagate_down[0]:
            return
        y, y_diff = top[0].data.reshape(self.columns), top[0].diff.reshape(self.columns)
        x_diff = bottom[0].diff.reshape(self.columns)
        if xp is np:
            softmax_kernels.softmax_backward(y, y_diff, x_diff)
        else:
            outer, classes, inner = self.columns
            if inner == 1:
                self.kernels.row_backward.blocks(outer, y, y_diff, x_diff, classes)
            else:
                self.kernels.column_backward(outer * inner, y, y_diff, x_diff, classes, inner)


def class_columns(bottom: Blob, axis: int) -> tuple[int, int, int]:
    """The bottom's shape as (outer, classes, inner), for sums over one axis."""
    return bottom.count_between(0, axis), bottom.shape[axis], bottom.count_between(axis + 1)


def softmax(layer: Layer, xp: Any, x: Any, y: Any) -> None:
    """Write the softmax over axis 1 of `x` into `y`; both (outer, classes, inner), maybe the same array.

    Args:
        layer: whose `cuda` is softmax.cu.
    """
    outer, classes, inner = x.shape
    if xp is np:
        softmax_kernels.softmax(x, y)
    elif not classes:
        return
    elif inner == 1:
        layer.kernels.row_softmax.blocks(outer, x, y, classes)
    else:
        layer.kernels.column_softmax(outer * inner, x, y, classes, inner)
