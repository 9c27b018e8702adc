"""InnerProduct: the fully connected layer, y = x W^T + b.

The axes of the bottom before `axis` are M samples, the rest are flattened to K features: x is `(M, K)`, y `(M, N)` with
N = `num_output`. The weight W is `(N, K)`, or `(K, N)` with `transpose`; the bias b is `(N,)`. float32 or float64.

Of happynear's fork: with `normalize` each row w of W is first divided, in the blob, by sqrt(|w|² + 1e-6); and a second
bottom, `(N, ...)` of K elements a row, stands for W, without a bias, whatever `num_output` and `bias_term` say.

Source: Caffe's `InnerProductLayer`, and happynear's.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

from bicerin.errors import LayerError, ShapeError
from bicerin.layer import Blob, BlobCounts, CountsProducts, Finishes, Layer, Operations, RereadsBottoms, between


class InnerProductLayer(CountsProducts, Finishes, RereadsBottoms, Layer):
    """Every output is a weighted sum of all inputs of its sample. Top shape: `bottom.shape[:axis] + (num_output,)`."""

    type = "InnerProduct"
    counts = BlobCounts(bottom=between(1, 2), top=1)
    operations = Operations("product_kernels")
    allows_in_place = False

    def layer_set_up(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        param = self.param.inner_product_param
        self.learned = len(bottom) == 1
        self.normalize: bool = param.normalize
        if (self.normalize or not self.learned) and param.transpose:
            raise LayerError("transpose is not known together with normalize or a second bottom.")
        if self.normalize and not self.learned:
            raise LayerError("normalize is for weights that are learned, not for those of a second bottom.")
        self.num_output: int = param.num_output if self.learned else bottom[1].num
        if self.num_output == 0:
            raise ShapeError("num_output must be positive.", "Give it in inner_product_param { num_output: ... }.")
        self.transpose: bool = param.transpose
        self.bias_term: bool = param.bias_term and self.learned
        self.features = bottom[0].count_between(bottom[0].canonical_axis(param.axis))
        weight_shape = (self.num_output, self.features)
        declared: list[tuple[Sequence[int], Any]] = [
            (weight_shape[::-1] if self.transpose else weight_shape, param.weight_filler)
        ]
        if not self.learned:
            declared = []
        if self.bias_term:
            declared.append(((self.num_output,), param.bias_filler))
        self.declare_blobs(*declared, learned=not self.normalize)
        if self.normalize:  # they are learned, and the layer writes them too
            for index in range(len(declared)):
                self.set_param_propagate_down(index, True)
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
        if not self.learned:
            self.num_output = bottom[1].num
            if bottom[1].count != self.num_output * features:
                raise ShapeError(
                    f"the second bottom, the weights, must have {features} elements a row, as a sample has: "
                    f"{bottom[1].shape}."
                )
        self.samples = prod(bottom[0].shape[:axis])
        top[0].reshape(*bottom[0].shape[:axis], self.num_output)

    def multiply_adds(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> int:
        return self.samples * self.num_output * self.features

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        weight, bias = self._operands(bottom)
        if self.normalize:
            weight /= self.xp.sqrt(self.xp.einsum("nk,nk->n", weight, weight) + 1e-6)[:, None]
        x = bottom[0].data.reshape(self.samples, self.features)
        y = top[0].data.reshape(self.samples, self.num_output)
        multiply = self.ops.sum_rows if self.transpose else self.ops.dot_rows
        multiply(weight, x, *self.finish(bias), y)

    def _operands(self, bottom: Sequence[Blob]) -> tuple[Any, Any]:
        """The weight as it is given, and the bias or None."""
        if not self.learned:
            return bottom[1].data.reshape(self.num_output, self.features), None
        return self.blobs[0].data, self.blobs[1].data if self.bias_term else None

    def backward(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        x = bottom[0].data.reshape(self.samples, self.features)
        y_diff = top[0].diff.reshape(self.samples, self.num_output)
        left, right = (x, y_diff) if self.transpose else (y_diff, x)
        if self.learned:
            self.add_gradient(0, self.add_outer, left, right)
        elif propagate_down[1]:
            bottom[1].diff.reshape(self.num_output, self.features)[...] = y_diff.T @ x
        if self.bias_term and self.param_propagate_down(1):
            self.blobs[1].diff[...] += y_diff.sum(axis=0)
        if propagate_down[0]:
            x_diff = bottom[0].diff.reshape(self.samples, self.features)
            self.write_bottom_diff(self._operands(bottom)[0], y_diff, x_diff)

    def add_outer(self, left: Any, right: Any, gradient: Any, add: bool) -> None:
        """Write the product of a matrix, transposed, with another one of as many rows, or add it."""
        self.ops.add_outer(left, right, gradient, add)

    def write_bottom_diff(self, weight: Any, y_diff: Any, x_diff: Any) -> None:
        """The gradient of the samples, `(M, K)`, from that of the outputs, `(M, N)`."""
        multiply = self.ops.dot_rows if self.transpose else self.ops.sum_rows
        multiply(weight, y_diff, *self._unfinished, x_diff)
