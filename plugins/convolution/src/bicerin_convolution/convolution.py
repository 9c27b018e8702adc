"""Convolution: every output is a weighted sum of the patch of the input under the kernel.

y[k, p] = b[k] + sum over c, o of w[k, c, o] * x[c, stride * p + dilation * o - pad]

spatial' = (spatial + 2 pad - (dilation (kernel - 1) + 1)) // stride + 1. The weights are
`(num_output, C / group, kernel...)`. With `relu`, of Intel's fork, y is max(y, 0) + negative_slope * min(y, 0) of that.

Source: Caffe's `ConvolutionLayer`.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

from bicerin.errors import LayerError
from bicerin.kernels import Finish
from bicerin.layer import Blob, ReadsTops, TopValues
from bicerin_convolution.base_convolution import BaseConvolution
from bicerin_convolution.problem import Problem


class ConvolutionLayer(ReadsTops, BaseConvolution):
    """Bottoms `(N, C, spatial...)` to tops `(N, num_output, spatial'...)`, any number of spatial axes.

    Attributes:
        slope: what negative sums are multiplied by; None where they stay.
    """

    type = "Convolution"
    slope: float | None = None

    def layer_set_up(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        super().layer_set_up(bottom, top)
        param = self.param.convolution_param
        if param.relu:
            self.slope = param.negative_slope
            if self.slope < 0:
                raise LayerError(f"convolution_param: negative_slope must not be negative, not {self.slope:g}.")
            self.channel_axis = None  # nothing can be done after the rectifier
            self.sums_diff = self.new_blob(name="sums_diff")
        elif param.negative_slope:
            raise LayerError("convolution_param: negative_slope is of relu: true, which is not given.")

    def reads_in_tops(self) -> TopValues:
        return TopValues.NONE if self.slope is None else TopValues.SIGNS

    def finish(self, bias: Any) -> Finish:
        finish = super().finish(bias)
        return finish if self.slope is None else finish._replace(slope=self.slope)

    def sum_gradient(self, top: Blob) -> Any:
        if self.slope is None:
            return super().sum_gradient(top)
        xp, diff = self.xp, top.diff.reshape(self.top_shape)
        self.sums_diff.reshape(*self.top_shape)
        sums_diff = self.sums_diff.data
        xp.multiply(diff, xp.where(top.data.reshape(self.top_shape) > 0, 1, self.dtype.type(self.slope)), out=sums_diff)
        return sums_diff

    def weight_shape(self) -> tuple[int, ...]:
        return (self.num_output, self.channels // self.group, *self.geometry.kernel)

    def top_spatial_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        return self.geometry.output_shape(shape)

    def problem(self, bottom_shape: tuple[int, ...], top_shape: tuple[int, ...]) -> Problem:
        return Problem(bottom_shape, top_shape, self.geometry, self.group, self.dtype)

    def multiply_adds(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> int:
        return sum(blob.count for blob in top) * prod(self.weight_shape()[1:])

    def write_top(self, x: Any, weights: Any, finish: Finish, y: Any, version: int | None) -> None:
        self.plan.forward(x, weights, finish, y, version)

    def write_bottom_diff(self, y_diff: Any, weights: Any, x_diff: Any, version: int | None) -> None:
        self.plan.data_gradient(y_diff, weights, self._unfinished, x_diff, version)

    def add_weight_gradient(self, x: Any, y_diff: Any, weight_diff: Any) -> None:
        self.plan.weight_gradient(x, y_diff, weight_diff)
