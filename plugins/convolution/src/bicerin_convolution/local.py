"""Local: a locally connected layer, a convolution whose weights differ from position to position.

top[n, m, i, j] = Σ over c and the kernel's elements of weight[m, c and element, i, j] · what the element meets in
channel c there, 0 in the padding, + bias[m, i, j].

- bottom: shape (N, C, H, W).
- blob 0: weights, shape (num_output, 1, C · kernel · kernel, H' · W'). blob 1, unless `bias_term: false`: biases, shape
  (1, 1, num_output, H' · W').
- top: shape (N, num_output, H', W'), as a Convolution with `kernel_size`, `stride` and `pad`.

Source: Taigman et al., "DeepFace", 2014; the `LocalLayer` of happynear/caffe-windows (BVLC/caffe pull request 1271).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bicerin.errors import ShapeError
from bicerin.layer import Blob, BlobCounts, Layer, Operations, image_shape
from bicerin_convolution.geometry import Geometry


class LocalLayer(Layer):
    """The size of the bottom's planes may not change, since each position has weights of its own."""

    type = "Local"
    counts = BlobCounts(bottom=1, top=1)
    operations = Operations("unfolding", "local_kernels", cuda="im2col.cu")
    allows_in_place = False

    def layer_set_up(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        param = self.param.local_param
        if not param.num_output:
            raise ShapeError("num_output must be positive.")
        if not param.kernel_size or not param.stride:
            raise ShapeError(
                f"kernel_size and stride must be nonzero, not {param.kernel_size} and {param.stride}.",
                "Give local_param { kernel_size: ... }.",
            )
        kernel, stride, pad = ((size, size) for size in (param.kernel_size, param.stride, param.pad))
        self.geometry = Geometry(kernel, stride, pad, (1, 1))
        _, *self.image = image_shape(bottom[0])
        self.output = self.geometry.output_shape(self.image[1:])
        positions = self.output[0] * self.output[1]
        self.outputs: int = param.num_output
        self.depth: int = self.image[0] * self.geometry.size
        declared = [((self.outputs, 1, self.depth, positions), param.weight_filler)]
        if param.bias_term:
            declared.append(((1, 1, self.outputs, positions), param.bias_filler))
        self.declare_blobs(*declared)
        self._unfolding = self.ops.prepare_unfolding(self.geometry, self.image[1:], self.output, self.xp)
        #: What the kernel sees at each position, and its gradient.
        self.columns = self.new_blob(name="columns")

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        number, *image = image_shape(bottom[0])
        if image != self.image:
            raise ShapeError(f"there are weights for images of {tuple(self.image)}, but the input is {tuple(image)}.")
        self.columns.reshape(number, self.image[0], *self.geometry.kernel, *self.output)
        self.flat = (number, self.depth, self.output[0] * self.output[1])
        self.rows = (number, self.outputs, self.flat[2])
        top[0].reshape(number, self.outputs, *self.output)

    @property
    def _weights(self) -> tuple[int, int, int]:
        return (self.outputs, *self.flat[1:])

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        self._unfolding.unfold(bottom[0].data, self.columns.data)
        y, weights = top[0].data.reshape(self.rows), self.blobs[0].data.reshape(self._weights)
        self.ops.multiply(weights, self.columns.data.reshape(self.flat), y)
        if len(self.blobs) > 1:
            y += self.blobs[1].data.reshape(self.rows[1:])

    def backward(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        y_diff: Any = top[0].diff.reshape(self.rows)
        if len(self.blobs) > 1 and self.param_propagate_down(1):
            self.blobs[1].diff.reshape(self.rows[1:])[...] += y_diff.sum(axis=0)
        if self.param_propagate_down(0):
            # Unfolded again, since the forward pass's may hold a gradient by now.
            self._unfolding.unfold(bottom[0].data, self.columns.data)
            weights_diff = self.blobs[0].diff.reshape(self._weights)
            self.ops.add_weight_gradient(y_diff, self.columns.data.reshape(self.flat), weights_diff)
        if propagate_down[0]:
            weights = self.blobs[0].data.reshape(self._weights)
            self.ops.column_gradient(y_diff, weights, self.columns.data.reshape(self.flat))
            self._unfolding.fold(self.columns.data, bottom[0].diff)

    def multiply_adds(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> int:
        return top[0].count * self.depth
