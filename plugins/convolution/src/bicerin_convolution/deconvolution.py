"""Deconvolution: the transpose of a convolution. Each input element adds its multiple of the kernel to the output.

spatial' = stride (spatial - 1) + dilation (kernel - 1) + 1 - 2 pad. The weights are
`(C, num_output / group, kernel...)`: those of the convolution from top to bottom whose data gradient this is.

Source: Caffe's `DeconvolutionLayer`.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

from bicerin.errors import LayerError
from bicerin.kernels import Finish
from bicerin.layer import Blob
from bicerin_convolution.base_convolution import BaseConvolution
from bicerin_convolution.problem import Problem


class DeconvolutionLayer(BaseConvolution):
    """Bottoms `(N, C, spatial...)` to tops `(N, num_output, spatial'...)`, any number of spatial axes."""

    type = "Deconvolution"

    def layer_set_up(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        if self.param.convolution_param.relu:
            raise LayerError("convolution_param: relu is of Convolution; give a ReLU layer after this one.")
        super().layer_set_up(bottom, top)

    def weight_shape(self) -> tuple[int, ...]:
        return (self.channels, self.num_output // self.group, *self.geometry.kernel)

    def top_spatial_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        return self.geometry.input_shape(shape)

    def problem(self, bottom_shape: tuple[int, ...], top_shape: tuple[int, ...]) -> Problem:
        return Problem(top_shape, bottom_shape, self.geometry, self.group, self.dtype)

    def multiply_adds(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> int:
        return sum(blob.count for blob in bottom) * prod(self.weight_shape()[1:])

    def write_top(self, x: Any, weights: Any, finish: Finish, y: Any, version: int | None) -> None:
        self.plan.data_gradient(x, weights, finish, y, version)

    def write_bottom_diff(self, y_diff: Any, weights: Any, x_diff: Any, version: int | None) -> None:
        self.plan.forward(y_diff, weights, self._unfinished, x_diff, version)

    def add_weight_gradient(self, x: Any, y_diff: Any, weight_diff: Any) -> None:
        self.plan.weight_gradient(y_diff, x, weight_diff)
