"""InnerProduct: the fully connected layer, y = x W^T + b.

The axes of the bottom before `axis` are M samples, the rest are flattened to K features: x is `(M, K)`, y `(M, N)` with
N = `num_output`. The weight W is `(N, K)`, or `(K, N)` with `transpose`; the bias b is `(N,)`. float32 or float64.

Source: Caffe's `InnerProductLayer`.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

from bicerin.blob import Blob
from bicerin.errors import ShapeError
from bicerin.layer import ArrayLayer, BlobCounts, DeviceBlob


def gradient_block(samples: int) -> int:
    """How many elements of the weight gradient to compute at a time.

    Few enough that the product is still in the cache when it is added; more of them where there are many samples, since
    GEMM is then the larger part of the work and wants large matrices.
    """
    return min(1 << 20, max(1 << 16, samples << 12))


class InnerProductLayer(ArrayLayer):
    """Every output is a weighted sum of all inputs of its sample. Top shape: `bottom.shape[:axis] + (num_output,)`."""

    type = "InnerProduct"
    counts = BlobCounts(bottom=1, top=1)
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
        self._product = self.new_blob()

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        axis = bottom[0].canonical_axis(self.param.inner_product_param.axis)
        features = bottom[0].count_between(axis)
        if features != self.features:
            raise ShapeError(
                f"Input size incompatible with inner product parameters: {features} features a sample, and the "
                f"weights are for {self.features}.",
                f"The axes from {axis} on must have {self.features} elements together, as when the layer was set up.",
            )
        self.samples = prod(bottom[0].shape[:axis])
        top[0].reshape(*bottom[0].shape[:axis], self.num_output)

    def multiply_adds(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> int:
        return self.samples * self.num_output * self.features

    def forward_array(self, xp: Any, bottom: Sequence[Any], top: Sequence[Any]) -> None:
        weight, *bias = self.weights(xp)
        x = bottom[0].data.reshape(self.samples, self.features)
        y = top[0].data.reshape(self.samples, self.num_output)
        xp.dot(x, weight.data if self.transpose else weight.data.T, out=y)
        if bias:
            xp.add(y, bias[0].data, out=y)

    def backward_array(
        self, xp: Any, top: Sequence[Any], propagate_down: Sequence[bool], bottom: Sequence[Any]
    ) -> None:
        weight, *bias = self.weights(xp)
        y_diff = top[0].diff.reshape(self.samples, self.num_output)
        if self.param_propagate_down(0):
            x = bottom[0].data.reshape(self.samples, self.features)
            left, right = (x, y_diff) if self.transpose else (y_diff, x)
            self._add_product(xp, left.T, right, weight.diff)
        if bias and self.param_propagate_down(1):
            bias[0].diff[...] += y_diff.sum(axis=0)
        if propagate_down[0]:
            x_diff = bottom[0].diff.reshape(self.samples, self.features)
            xp.dot(y_diff, weight.data.T if self.transpose else weight.data, out=x_diff)

    def _add_product(self, xp: Any, left: Any, right: Any, total: Any) -> None:
        """total += left right, some rows at a time, so that no second array of the size of the weights is needed."""
        rows, columns = total.shape
        # A GPU wants one large product, and has no such cache.
        step = min(rows, gradient_block(self.samples) // max(1, columns)) if self.device.is_host else rows
        step = max(1, step)
        self._product.reshape(step, columns)
        product = (self._product if self.device.is_host else DeviceBlob(self._product)).data
        for start in range(0, rows, step):
            block = total[start : start + step]
            part = product[: len(block)]
            xp.dot(left[start : start + step], right, out=part)
            xp.add(block, part, out=block)
