"""Convolution: every output is a weighted sum of the patch of the input under the kernel.

y[k, p] = b[k] + sum over c, o of w[k, c, o] * x[c, stride * p + dilation * o - pad]

spatial' = (spatial + 2 pad - (dilation (kernel - 1) + 1)) // stride + 1. The weights are
`(num_output, C / group, kernel...)`.

Source: Caffe's `ConvolutionLayer`.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

from bicerin.kernels import Finish
from bicerin.layer import Blob
from bicerin_convolution.base_convolution import BaseConvolution
from bicerin_convolution.problem import Problem


class ConvolutionLayer(BaseConvolution):
    """Bottoms `(N, C, spatial...)` to tops `(N, num_output, spatial'...)`, any number of spatial axes."""

    type = "Convolution"

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
