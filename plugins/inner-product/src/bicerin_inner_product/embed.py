"""Embed: a row of a table for each index, y = W[x] + b.

The bottom, of any shape, holds whole numbers of 0 up to `input_dim` - 1; the top has one axis more, of `num_output`.
The table W is `(input_dim, num_output)`, the bias b `(num_output,)`. It is InnerProduct of one-hot vectors that nobody
has to write out. float32 or float64. On a device, which cannot raise errors, a wrong index gives NaN.

Source: Caffe's `EmbedLayer`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from bicerin.device import CudaSource
from bicerin.errors import LayerError, ShapeError
from bicerin.layer import Blob, BlobCounts, Layer
from bicerin_inner_product.embed_kernels import add_rows


class EmbedLayer(Layer):
    """Looks indices up in a learned table. Top shape: `bottom.shape + (num_output,)`. The indices take no gradient."""

    type = "Embed"
    counts = BlobCounts(bottom=1, top=1)
    allows_in_place = False
    cuda = CudaSource(__file__, "embed.cu")

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
        xp = self.xp
        table, *bias = self.blobs
        y = top[0].data.reshape(-1, self.num_output)
        if xp is np:
            y[...] = table.data[self._indices(bottom[0])]
        else:
            self.kernels.look_up(y.size, bottom[0].data, table.data, y, self.input_dim, self.num_output)
        if bias:
            xp.add(y, bias[0].data, out=y)

    def backward(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        xp = self.xp
        if propagate_down[0]:
            raise LayerError("Can't backpropagate to EmbedLayer input.", "Indices have no gradient.")
        table, *bias = self.blobs
        y_diff = top[0].diff.reshape(-1, self.num_output)
        if self.param_propagate_down(0):
            if xp is np:
                add_rows(table.diff, self._indices(bottom[0]), y_diff)
            else:
                sizes = (self.input_dim, self.num_output)
                self.kernels.add_rows(y_diff.size, bottom[0].data, y_diff, table.diff, *sizes)
        if bias and self.param_propagate_down(1):
            bias[0].diff[...] += y_diff.sum(axis=0)

    def _indices(self, bottom: Any) -> np.ndarray:
        """The bottom's values as integers, shape `(count,)`.

        Raises:
            ShapeError: one is no whole number, or no row of the table.
        """
        values = bottom.data.reshape(-1)
        wrong = ~((values >= 0) & (values < self.input_dim) & (values == np.floor(values)))
        if wrong.any():
            position = int(wrong.argmax())
            place = tuple(map(int, np.unravel_index(position, bottom.shape)))
            raise ShapeError(
                f"index {float(values[position]):g} at {place} is not a row of the table.",
                f"Indices are whole numbers from 0 to input_dim - 1 = {self.input_dim - 1}.",
            )
        return values.astype(np.int64)
