"""Deconvolution: the transpose of a convolution. Each input element adds its multiple of the kernel to the output."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from bicerin.layer import Blob
from bicerin_convolution.base_convolution import BaseConvolution
from bicerin_convolution.problem import Problem


class DeconvolutionLayer(BaseConvolution):
    """Bottoms `(N, C, spatial...)` to tops `(N, num_output, spatial'...)`, any number of spatial axes.

    spatial' = stride (spatial - 1) + dilation (kernel - 1) + 1 - 2 pad. The weights are
    `(C, num_output / group, kernel...)`: those of the convolution from top to bottom whose data gradient this is.
    Source: Caffe's `DeconvolutionLayer`.
    """

    type = "Deconvolution"
    transposed = True

    def weight_shape(self) -> tuple[int, ...]:
        return (self.channels, self.num_output // self.group, *self.geometry.kernel)

    def top_spatial_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        return self.geometry.input_shape(shape)

    def problem(self, bottom_shape: tuple[int, ...], top_shape: tuple[int, ...]) -> Problem:
        return Problem(top_shape, bottom_shape, self.geometry, self.group, self.dtype)

    def multiply_adds(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> int:
        return sum(blob.count for blob in bottom) * prod(self.weight_shape()[1:])

    def forward_cpu(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        weights = self.blobs[0].cpu_data
        for x, y in zip(bottom, top, strict=True):
            self.plan.data_gradient(
                x.cpu_data.reshape(self.bottom_shape), weights, self.bias(), y.data.reshape(self.top_shape)
            )

    def backward_cpu(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        self.add_bias_gradient(top)
        for y, down, x in zip(top, propagate_down, bottom, strict=True):
            dy = y.cpu_diff.reshape(self.top_shape)
            if self.param_propagate_down(0):
                self.plan.weight_gradient(dy, x.cpu_data.reshape(self.bottom_shape), self.blobs[0].diff)
            if down:
                self.plan.forward(dy, self.blobs[0].cpu_data, None, x.diff.reshape(self.bottom_shape))
