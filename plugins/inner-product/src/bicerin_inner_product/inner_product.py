"""InnerProduct: the fully connected layer, y = x W^T + b.

The axes of the bottom before `axis` are M samples, the rest are flattened to K features: x is `(M, K)`, y `(M, N)` with
N = `num_output`. The weight W is `(N, K)`, or `(K, N)` with `transpose`; the bias b is `(N,)`. float32 or float64.

Source: Caffe's `InnerProductLayer`.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

from bicerin.errors import ShapeError
from bicerin.layer import Blob, BlobCounts, CountsProducts, Finishes, Layer, Operations


class InnerProductLayer(CountsProducts, Finishes, Layer):
    """Every output is a weighted sum of all inputs of its sample. Top shape: `bottom.shape[:axis] + (num_output,)`."""

    type = "InnerProduct"
    counts = BlobCounts(bottom=1, top=1)
    operations = Operations("product_kernels")
    allows_in_place = False

    def layer_set_up(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        param = self.param.inner_product_param
        self.num_output: int = param.num_output
        if self.num_output == 0:
            raise ShapeError("num_output must be positive.", "Give it in inner_product_param { num_output: ... }.")
        self.transpose: bool = param.transpose
        self.bias_term: bool = param.bias_term
        self.features = bottom[0].count_between(bottom[0].canonical_axis(param.axis))
        weight_shape = (self.num_output, self.features)
        declared: list[tuple[Sequence[int], Any]] = [
            (weight_shape[::-1] if self.transpose else weight_shape, param.weight_filler)
        ]
        if self.bias_term:
            declared.append(((self.num_output,), param.bias_filler))
        self.declare_blobs(*declared)
        self.channel_axis = bottom[0].canonical_axis(param.axis)
        self._unfinished = self.finish(None)

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        axis = bottom[0].canonical_axis(self.param.inner_product_param.axis)
        features = bottom[0].count_between(axis)
        if features != self.features:
            raise ShapeError(
                f"Input size incompatible with inner product parameters: {features} features per sample, but the "
                f"weights are for {self.features}.",
                f"The axes from {axis} on must have {self.features} elements together, as when the layer was set up.",
            )
        self.samples = prod(bottom[0].shape[:axis])
        top[0].reshape(*bottom[0].shape[:axis], self.num_output)

    def multiply_adds(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> int:
        return self.samples * self.num_output * self.features

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        weight, *bias = self.blobs
        x = bottom[0].data.reshape(self.samples, self.features)
        y = top[0].data.reshape(self.samples, self.num_output)
        multiply = self.ops.sum_rows if self.transpose else self.ops.dot_rows
        multiply(weight.data, x, *self.finish(bias[0].data if bias else None), y)

    def backward(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        weight, *bias = self.blobs
        x = bottom[0].data.reshape(self.samples, self.features)
        y_diff = top[0].diff.reshape(self.samples, self.num_output)
        left, right = (x, y_diff) if self.transpose else (y_diff, x)
        self.add_gradient(0, self.ops.add_outer, left, right)
        if bias and self.param_propagate_down(1):
            bias[0].diff[...] += y_diff.sum(axis=0)
        if propagate_down[0]:
            x_diff = bottom[0].diff.reshape(self.samples, self.features)
            multiply = self.ops.dot_rows if self.transpose else self.ops.sum_rows
            multiply(weight.data, y_diff, *self._unfinished, x_diff)
