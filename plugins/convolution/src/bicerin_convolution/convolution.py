"""Convolution: every output is a weighted sum of the patch of the input under the kernel.

y[k, p] = b[k] + sum over c, o of w[k, c, o] * x[c, stride * p + dilation * o - pad]
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from bicerin.layer import Blob
from bicerin_convolution.base_convolution import BaseConvolution
from bicerin_convolution.problem import Problem


class ConvolutionLayer(BaseConvolution):
    """Bottoms `(N, C, spatial...)` to tops `(N, num_output, spatial'...)`, any number of spatial axes.

    spatial' = (spatial + 2 pad - (dilation (kernel - 1) + 1)) // stride + 1. The weights are
    `(num_output, C / group, kernel...)`. Source: Caffe's `ConvolutionLayer`.
    """

    type = "Convolution"

    def layer_set_up(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        super().layer_set_up(bottom, top)
        self.channel_axis = self.axis

    def weight_shape(self) -> tuple[int, ...]:
        return (self.num_output, self.channels // self.group, *self.geometry.kernel)

    def top_spatial_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        return self.geometry.output_shape(shape)

    def problem(self, bottom_shape: tuple[int, ...], top_shape: tuple[int, ...]) -> Problem:
        return Problem(bottom_shape, top_shape, self.geometry, self.group, self.dtype)

    def multiply_adds(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> int:
        return sum(blob.count for blob in top) * prod(self.weight_shape()[1:])

    def forward_cpu(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        weights = self.blobs[0].cpu_data
        finish = self.finish(self.bias()) if self.epilogue else self.bias()
        for x, y in zip(bottom, top, strict=True):
            self.plan.forward(x.cpu_data.reshape(self.bottom_shape), weights, finish, y.data.reshape(self.top_shape))

    def backward_cpu(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        self.add_bias_gradient(top)
        for y, down, x in zip(top, propagate_down, bottom, strict=True):
            dy = y.cpu_diff.reshape(self.top_shape)
            if self.param_propagate_down(0):
                self.plan.weight_gradient(x.cpu_data.reshape(self.bottom_shape), dy, self.blobs[0].diff)
            if down:
                self.plan.data_gradient(dy, self.blobs[0].cpu_data, None, x.diff.reshape(self.bottom_shape))
