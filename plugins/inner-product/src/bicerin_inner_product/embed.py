"""Embed: a row of a table for each index, y = W[x] + b.

The bottom, of any shape, holds whole numbers of 0 up to `input_dim` - 1; the top has one axis more, of `num_output`.
The table W is `(input_dim, num_output)`, the bias b `(num_output,)`. It is InnerProduct of one-hot vectors that nobody
has to write out. float32 or float64. On a device, which cannot raise errors, a wrong index gives NaN.

Source: Caffe's `EmbedLayer`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bicerin.errors import LayerError, ShapeError
from bicerin.layer import Blob, BlobCounts, Layer, Operations


class EmbedLayer(Layer):
    """Looks indices up in a learned table. Top shape: `bottom.shape + (num_output,)`. The indices take no gradient."""

    type = "Embed"
    counts = BlobCounts(bottom=1, top=1)
    allows_in_place = False
    operations = Operations("embed_kernels")

    def layer_set_up(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        param = self.param.embed_param
        for field in ("num_output", "input_dim"):
            if getattr(param, field) == 0:
                raise ShapeError(f"EmbedLayer {field} must be positive.", f"Give it in embed_param {{ {field}: ... }}.")
        self.num_output: int = param.num_output
        self.input_dim: int = param.input_dim
        declared: list[tuple[Sequence[int], Any]] = [((self.input_dim, self.num_output), param.weight_filler)]
        if param.bias_term:
            declared.append(((self.num_output,), param.bias_filler))
        self.declare_blobs(*declared)

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        top[0].reshape(*bottom[0].shape, self.num_output)

    def allow_force_backward(self, bottom_index: int) -> bool:
        return False

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        table, *bias = self.blobs
        y = top[0].data.reshape(-1, self.num_output)
        self.ops.look_up(bottom[0].data, table.data, y)
        if bias:
            self.xp.add(y, bias[0].data, out=y)

    def backward(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        if propagate_down[0]:
            raise LayerError("Can't backpropagate to EmbedLayer input.", "Indices have no gradient.")
        table, *bias = self.blobs
        y_diff = top[0].diff.reshape(-1, self.num_output)
        if self.param_propagate_down(0):
            self.ops.add_rows(bottom[0].data, y_diff, table.diff)
        if bias and self.param_propagate_down(1):
            bias[0].diff[...] += y_diff.sum(axis=0)
