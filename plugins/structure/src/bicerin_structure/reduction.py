"""Reduction: all axes from `axis` on (by default 0) reduced to one number, times `coeff`.

Over the D reduced elements x: SUM is their sum, ASUM the sum of |x|, SUMSQ the sum of x^2, MEAN the sum / D. The top
has the shape `bottom.shape[:axis]`. float32 or float64.

Source: Caffe's `ReductionLayer`.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from bicerin.layer import Blob, BlobCounts, Layer, enum_name


class ReductionLayer(Layer):
    """Only axes at the end can be reduced."""

    type = "Reduction"
    counts = BlobCounts(bottom=1, top=1)
    allows_in_place = False

    def layer_set_up(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        param = self.param.reduction_param
        self._operation = enum_name(param, "operation", ("SUM", "ASUM", "SUMSQ", "MEAN"))
        self._magnitude = self.new_blob()

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        param = self.param.reduction_param
        axis = bottom[0].canonical_axis(param.axis)
        shape = bottom[0].shape
        self._kept, self._reduced = prod(shape[:axis]), prod(shape[axis:])
        self._coefficient = param.coeff / (max(1, self._reduced) if self._operation == "MEAN" else 1)
        top[0].reshape(*shape[:axis])
        self._magnitude.reshape(self._kept, self._reduced)

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        xp = self.xp
        x, y = bottom[0].data.reshape(self._kept, self._reduced), top[0].data.reshape(self._kept)
        if self._operation == "SUMSQ":
            y[...] = xp.matmul(x[:, None, :], x[:, :, None])[:, 0, 0]
        elif self._operation == "ASUM":
            magnitude = self._magnitude.data
            xp.abs(x, out=magnitude)
            magnitude.sum(axis=1, out=y)
        else:
            x.sum(axis=1, out=y)
        if self._coefficient != 1:
            xp.multiply(y, self._coefficient, out=y)

    def backward(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        xp = self.xp
        if not propagate_down[0]:
            return
        x = bottom[0].data.reshape(self._kept, self._reduced)
        x_diff = bottom[0].diff.reshape(self._kept, self._reduced)
        scale = (top[0].diff.reshape(self._kept) * self._coefficient)[:, None]
        if self._operation == "SUMSQ":
            xp.multiply(x, 2 * scale, out=x_diff)
        elif self._operation == "ASUM":
            xp.sign(x, out=x_diff)
            xp.multiply(x_diff, scale, out=x_diff)
        else:
            x_diff[...] = scale
