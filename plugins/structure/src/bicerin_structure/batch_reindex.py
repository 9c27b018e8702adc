"""BatchReindex: the items of a batch in another order, some several times, some not at all: y[i] = x[index[i]].

Bottoms: x `(N, ...)` and the indices `(M,)`, of 0 up to N - 1; fractions are truncated. The top is `(M, ...)`. The
gradient of an item is the sum over its places; the indices take none. float32 or float64. On a device, which
cannot raise errors, the place of a wrong index is filled with NaN.

Source: Caffe's `BatchReindexLayer`.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

from bicerin.errors import LayerError, ShapeError
from bicerin.layer import Blob, BlobCounts, Layer, Operations


class BatchReindexLayer(Layer):
    """For example with a permutation, to shuffle a batch."""

    type = "BatchReindex"
    counts = BlobCounts(bottom=2, top=1)
    allows_in_place = False
    operations = Operations("batch_reindex_kernels")

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        if bottom[1].num_axes != 1:
            raise ShapeError(f"the indices must be a blob of 1 axis, not of shape {bottom[1].shape}.")
        if not bottom[0].shape:
            raise ShapeError("a scalar has no items to reindex.")
        self._inner = prod(bottom[0].shape[1:])
        top[0].reshape(*bottom[1].shape, *bottom[0].shape[1:])

    def allow_force_backward(self, bottom_index: int) -> bool:
        return bottom_index == 0

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        self.ops.gather(self._items(bottom[0].data), bottom[1].data, self._items(top[0].data))

    def backward(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        if propagate_down[1]:
            raise LayerError("Cannot backprop to index.")
        if propagate_down[0]:
            bottom[0].diff.fill(0)
            self.ops.scatter(self._items(top[0].diff), bottom[1].data, self._items(bottom[0].diff))

    def _items(self, array: Any) -> Any:
        return array.reshape(array.shape[0], self._inner)
