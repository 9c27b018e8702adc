"""DeformableConvolution: a convolution whose kernel reads at places that another layer has moved. Dai et al., 2017.

top[n, m, i, j] = bias[m] + the sum over channels c and elements k of the kernel of weight[m, c, k] · x[n, c](p), where
p is where an ordinary convolution would read, (i stride - pad + a dilation, j stride - pad + b dilation) for the
element k = (a, b), moved by the offsets 2 k (down) and 2 k + 1 (to the right) of bottom 1 at (i, j). x(p) is linear
between four pixels. Where p is not within [0, H) x [0, W) it is 0; beyond the last row or column it is that row's or
column's. (DCNv2, torchvision and ONNX go to 0 over a pixel outside of the map instead.)

The channels are in `deformable_group` groups, each with offsets of its own.

Source: the DeformableConvolutionLayers of unsky/Deformable-ConvNets-caffe and makefile/frcnn, which run on a GPU alone.
They take offsets of the bottom's size; here they have the top's, as with a stride or without padding it must be.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bicerin.errors import LayerError, ShapeError
from bicerin.layer import Blob, BlobCounts, CountsProducts, Layer, Operations, image_shape
from bicerin_convolution.geometry import Geometry


class DeformableConvolutionLayer(CountsProducts, Layer):
    """Bottom 0: x, `(N, C, H, W)`. Bottom 1: offsets in pixels, `(N, deformable_group * 2 * kernel, H', W')`. Top:
    `(N, num_output, H', W')`. `blobs[0]` is the kernel, `(num_output, C / group, kernel...)`; `blobs[1]`, with
    `bias_term`, the bias.
    """

    type = "DeformableConvolution"
    operations = Operations("deformable_kernels")
    counts = BlobCounts(bottom=2, top=1)
    allows_in_place = False

    def layer_set_up(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        param = self.param.deformable_convolution_param
        _, channels, _, _ = image_shape(bottom[0])
        if bottom[0].canonical_axis(param.axis) != 1:
            raise LayerError(f"axis must be 1, that of the channels, not {param.axis}.")
        self.geometry = Geometry.of(param, 2)
        self.channels = channels
        self.num_output: int = param.num_output
        self.group: int = param.group
        self.deformable_group: int = param.deformable_group
        if self.num_output < 1:
            raise ShapeError("num_output must be at least 1.")
        for name in ("group", "deformable_group"):
            groups = getattr(param, name)
            if groups < 1 or channels % groups or not channels:
                raise ShapeError(f"the channels ({channels}) must be a multiple of {name} ({groups}).")
        if self.num_output % self.group:
            raise ShapeError(f"num_output ({self.num_output}) must be a multiple of group ({self.group}).")
        weights = (self.num_output, channels // self.group, *self.geometry.kernel)
        declared = [(weights, param.weight_filler)]
        if param.bias_term:
            declared.append(((self.num_output,), param.bias_filler))
        self.declare_blobs(*declared)
        #: What the kernel reads: `(N, C, kernel, H', W')`.
        self.columns = self.new_blob(name="columns")

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        number, channels, height, width = image_shape(bottom[0])
        if channels != self.channels:
            raise ShapeError(f"the bottom has {channels} channels, the kernel {self.channels}.")
        output = self.geometry.output_shape((height, width))
        wanted = (number, 2 * self.deformable_group * self.geometry.size, *output)
        if bottom[1].shape != wanted:
            raise ShapeError(
                f"{bottom[1].name or 'bottom 1'} must have the shape {wanted}, not {bottom[1].shape}.",
                "There are 2 offsets for each deformable_group and element of the kernel, at each place of the top.",
            )
        top[0].reshape(number, self.num_output, *output)
        self.columns.reshape(number, channels, self.geometry.size, *output)

    def multiply_adds(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> int:
        return top[0].count * (self.channels // self.group) * self.geometry.size

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        self.ops.unfold(bottom[0].data, self._offsets(bottom[1], bottom[1].data), self._windows, self.columns.data)
        weights, *bias = self.blobs
        y = self._by_group(top[0], top[0].data)
        self.xp.matmul(self._weights(weights.data), self._columns, out=y)
        if bias:
            y += bias[0].data.reshape(self.group, -1, 1)

    def backward(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        xp = self.xp
        y_diff = self._by_group(top[0], top[0].diff)
        weights, *bias = self.blobs
        if bias and self.param_propagate_down(1):
            bias[0].diff[...] += y_diff.sum(axis=(0, 3)).reshape(-1)
        if self.param_propagate_down(0):
            weight_diff = xp.matmul(y_diff, self._columns.transpose(0, 1, 3, 2)).sum(axis=0)
            weights.diff[...] += weight_diff.reshape(weights.shape)
        if not any(propagate_down):
            return
        column_diff = xp.matmul(self._weights(weights.data).transpose(0, 2, 1), y_diff).reshape(self.columns.shape)
        offsets = self._offsets(bottom[1], bottom[1].data)
        if propagate_down[0]:
            self.ops.fold(column_diff, offsets, self._windows, bottom[0].diff)
        if propagate_down[1]:
            offset_diff = self._offsets(bottom[1], bottom[1].diff)
            self.ops.offset_gradient(column_diff, bottom[0].data, offsets, self._windows, offset_diff)

    @property
    def _windows(self) -> tuple[int, ...]:
        """Columns of the kernel, and strides, pads and dilations, down and to the right."""
        geometry = self.geometry
        return (geometry.kernel[1], *geometry.stride, *geometry.pad, *geometry.dilation)

    @property
    def _columns(self) -> Any:
        """What is read, `(N, group, C / group * kernel, H' W')`."""
        number, channels, size, height, width = self.columns.shape
        return self.columns.data.reshape(number, self.group, channels // self.group * size, height * width)

    def _weights(self, weights: Any) -> Any:
        return weights.reshape(self.group, self.num_output // self.group, -1)

    def _by_group(self, blob: Blob, array: Any) -> Any:
        return array.reshape(blob.num, self.group, self.num_output // self.group, blob.height * blob.width)

    def _offsets(self, blob: Blob, array: Any) -> Any:
        """Offsets as `(N, deformable_group, kernel, 2, H', W')`."""
        return array.reshape(blob.num, self.deformable_group, self.geometry.size, 2, blob.height, blob.width)
