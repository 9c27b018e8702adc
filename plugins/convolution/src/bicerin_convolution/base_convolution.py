"""What Convolution and Deconvolution share: their parameters, their blobs, their shapes."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from math import prod
from typing import Any

from bicerin.errors import ShapeError
from bicerin.kernels import Finish, rounds_least
from bicerin.layer import Blob, BlobCounts, CountsProducts, Finishes, Layer, RereadsBottoms, at_least
from bicerin_convolution.geometry import Geometry
from bicerin_convolution.operations import OPERATIONS
from bicerin_convolution.problem import Problem


class BaseConvolution(CountsProducts, Finishes, RereadsBottoms, Layer):
    """A convolution, seen from one of its two ends. Source: Caffe's `BaseConvolutionLayer`.

    A bottom has the shape `(N..., C, spatial...)`, with C at `axis`, its top `(N..., num_output, spatial'...)`; all
    bottoms have one shape and meet the same kernel. `blobs[0]` is the kernel; `blobs[1]`, with `bias_term`, the bias
    `(num_output,)`.

    Attributes:
        geometry: kernel, stride, pad and dilation of each spatial axis.
        plan: the three products of the convolution at the present shapes, each with its algorithm.
    """

    counts = BlobCounts(bottom=at_least(1), top=at_least(1), equal=True)
    operations = OPERATIONS
    allows_in_place = False

    def layer_set_up(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        param = self.param.convolution_param
        self.axes = bottom[0].num_axes
        self.axis = self.channel_axis = bottom[0].canonical_axis(param.axis)
        self.geometry = Geometry.of(param, self.axes - self.axis - 1)
        self.channels = bottom[0].shape[self.axis]
        self.num_output: int = param.num_output
        self.group: int = param.group
        self.plan: Any = None
        #: The shape that the plan is for, and whether it rounds least.
        self._planned: tuple[tuple[int, ...], bool] | None = None
        self._unfinished = self.finish(None)
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
        self.blobs[0].keep_versions()

    @abstractmethod
    def weight_shape(self) -> tuple[int, ...]:
        """The shape of the kernel."""

    @abstractmethod
    def top_spatial_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The spatial shape of the tops, given that of the bottoms."""

    @abstractmethod
    def problem(self, bottom_shape: tuple[int, ...], top_shape: tuple[int, ...]) -> Problem:
        """The convolution, given `(N, C, spatial...)` of both ends."""

    @abstractmethod
    def write_top(self, x: Any, weights: Any, finish: Finish, y: Any, version: int | None) -> None:
        """The forward pass of one pair, of shapes `bottom_shape` and `top_shape`; `version` is that of the weights."""

    @abstractmethod
    def write_bottom_diff(self, y_diff: Any, weights: Any, x_diff: Any, version: int | None) -> None:
        """The gradient of one bottom; `version` is that of the weights."""

    @abstractmethod
    def add_weight_gradient(self, x: Any, y_diff: Any, weight_diff: Any) -> None:
        """The gradient of the weights, of one pair."""

    def sum_gradient(self, top: Blob) -> Any:
        """The gradient of the sums, bias included, that a top was made of: its own."""
        return top.diff.reshape(self.top_shape)

    @property
    def algorithm(self) -> str:
        """The algorithms chosen for the present shapes."""
        return str(self.plan)

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        shape = bottom[0].shape
        if (shape, rounds_least()) != self._planned:
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
        self._top_rows = (prod(before), self.num_output, prod(top_spatial))
        self.plan = self.ops.prepare(self.problem(self.bottom_shape, self.top_shape), self.xp)
        self._planned = (shape, rounds_least())

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        blobs = self.blobs
        version = blobs[0].data_version
        weights = blobs[0].read_only.data
        finish = self.finish(blobs[1].data if len(blobs) > 1 else None)
        for x, y in zip(bottom, top, strict=True):
            self.write_top(x.data.reshape(self.bottom_shape), weights, finish, y.data.reshape(self.top_shape), version)

    def backward(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        weights, *bias = self.blobs
        version = weights.data_version
        for y, down, x in zip(top, propagate_down, bottom, strict=True):
            y_diff = self.sum_gradient(y)
            if bias and self.param_propagate_down(1):
                self.ops.add_bias_gradient(y_diff.reshape(self._top_rows), bias[0].diff)
            if self.param_propagate_down(0):
                self.add_weight_gradient(x.data.reshape(self.bottom_shape), y_diff, weights.diff)
            if down:
                self.write_bottom_diff(y_diff, weights.read_only.data, x.diff.reshape(self.bottom_shape), version)
