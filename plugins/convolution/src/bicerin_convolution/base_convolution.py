"""What Convolution and Deconvolution share: their parameters, their blobs, their shapes."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from math import prod
from typing import ClassVar

import numpy as np

from bicerin.errors import ShapeError
from bicerin.layer import Blob, BlobCounts, Layer, at_least
from bicerin_convolution.bias_kernels import add_bias_gradient
from bicerin_convolution.device_plan import CUDA, DevicePlan
from bicerin_convolution.geometry import Geometry
from bicerin_convolution.plan import Plan
from bicerin_convolution.problem import Problem


class BaseConvolution(Layer):
    """A convolution, seen from one of its two ends. Source: Caffe's `BaseConvolutionLayer`.

    A bottom has the shape `(N..., C, spatial...)`, with C at `axis`, its top `(N..., num_output, spatial'...)`; all
    bottoms have one shape and meet the same kernel. `blobs[0]` is the kernel; `blobs[1]`, with `bias_term`, the bias
    `(num_output,)`.

    Attributes:
        geometry: kernel, stride, pad and dilation of each spatial axis.
        plan: the arithmetic at the present shapes.
    """

    counts = BlobCounts(bottom=at_least(1), top=at_least(1), equal=True)
    cuda = CUDA
    #: Whether the layer runs a convolution from its top to its bottom.
    transposed: ClassVar[bool] = False
    allows_in_place = False

    def layer_set_up(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        param = self.param.convolution_param
        self.axes = bottom[0].num_axes
        self.axis = bottom[0].canonical_axis(param.axis)
        self.geometry = Geometry.of(param, self.axes - self.axis - 1)
        self.channels = bottom[0].shape[self.axis]
        self.num_output: int = param.num_output
        self.group: int = param.group
        self._planned: tuple[int, ...] | None = None
        if self.num_output < 1:
            raise ShapeError("num_output must be at least 1.")
        if self.channels < 1:
            raise ShapeError(f"the bottom has no channels: axis {self.axis} of its shape {bottom[0].shape} is 0.")
        if self.group < 1 or self.channels % self.group:
            raise ShapeError(f"the channels ({self.channels}) must be a multiple of group ({self.group}).")
        if self.num_output % self.group:
            raise ShapeError(
                f"Number of output should be multiples of group: num_output {self.num_output}, group {self.group}."
            )
        declared = [(self.weight_shape(), param.weight_filler)]
        if param.bias_term:
            declared.append(((self.num_output,), param.bias_filler))
        if self.blobs and len(self.blobs) != len(declared):
            raise ShapeError(
                f"Incorrect number of weight blobs: {len(self.blobs)}, expected {len(declared)} "
                f"({'weights and bias' if param.bias_term else 'weights alone, since bias_term is false'})."
            )
        self.declare_blobs(*declared)

    @abstractmethod
    def weight_shape(self) -> tuple[int, ...]:
        """The shape of the kernel."""

    @abstractmethod
    def top_spatial_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The spatial shape of the tops, given that of the bottoms."""

    @abstractmethod
    def problem(self, bottom_shape: tuple[int, ...], top_shape: tuple[int, ...]) -> Problem:
        """The convolution, given `(N, C, spatial...)` of both ends."""

    @property
    def algorithm(self) -> str:
        """The algorithms chosen for the present shapes."""
        return str(self.plan if self.device.is_host else self.device_plan)

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        shape = bottom[0].shape
        if shape != self._planned:
            self._make_plan(shape)
        for index, blob in enumerate(bottom):
            if blob.shape != shape:
                raise ShapeError(f"shape mismatch - bottom[0]: {shape} vs. bottom[{index}]: {blob.shape}")
            top[index].reshape(*self._top_shape)

    def _make_plan(self, shape: tuple[int, ...]) -> None:
        if len(shape) != self.axes:
            raise ShapeError(f"bottom num_axes may not change: they were {self.axes}, and are {len(shape)}.")
        if shape[self.axis] != self.channels:
            raise ShapeError(
                f"Input size incompatible with convolution kernel: {shape[self.axis]} channels, "
                f"expected {self.channels}."
            )
        before, spatial = shape[: self.axis], shape[self.axis + 1 :]
        top_spatial = self.top_spatial_shape(spatial)
        self._top_shape = (*before, self.num_output, *top_spatial)
        #: The shapes of both ends with all axes before `axis` as one.
        self.bottom_shape = (prod(before), self.channels, *spatial)
        self.top_shape = (prod(before), self.num_output, *top_spatial)
        problem = self.problem(self.bottom_shape, self.top_shape)
        if self.device.is_host:
            self.plan = Plan(problem)
        else:
            self.device_plan = DevicePlan(self, problem)
        self._planned = shape

    def bias(self) -> np.ndarray | None:
        """The bias's values, if there is one."""
        return self.blobs[1].cpu_data if len(self.blobs) > 1 else None

    def add_bias_gradient(self, top: Sequence[Blob]) -> None:
        """Add the sums of the tops' diffs over all but the channels to the bias's diff, where it is wanted."""
        if len(self.blobs) > 1 and self.param_propagate_down(1):
            for blob in top:
                diff = blob.cpu_diff.reshape(self.top_shape[0], self.num_output, prod(self.top_shape[2:]))
                add_bias_gradient(diff, self.blobs[1].diff)

    def forward_gpu(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        plan = self.device_plan
        run = plan.data_gradient if self.transposed else plan.forward
        weights, *bias = (blob.const_gpu_data for blob in self.blobs)
        for x, y in zip(bottom, top, strict=True):
            sides = x.const_gpu_data.reshape(self.bottom_shape), y.gpu_data.reshape(self.top_shape)
            run(sides[0], weights, bias[0] if bias else None, sides[1])

    def backward_gpu(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        plan, weights = self.device_plan, self.blobs[0]
        run = plan.forward if self.transposed else plan.data_gradient
        for y, down, x in zip(top, propagate_down, bottom, strict=True):
            dy = y.const_gpu_diff.reshape(self.top_shape)
            if len(self.blobs) > 1 and self.param_propagate_down(1):
                plan.add_bias_gradient(dy, self.blobs[1].gpu_diff)
            if self.param_propagate_down(0):
                bottom_data = x.const_gpu_data.reshape(self.bottom_shape)
                left, right = (dy, bottom_data) if self.transposed else (bottom_data, dy)
                plan.weight_gradient(left, right, weights.gpu_diff)
            if down:
                run(dy, weights.const_gpu_data, None, x.gpu_diff.reshape(self.bottom_shape))
