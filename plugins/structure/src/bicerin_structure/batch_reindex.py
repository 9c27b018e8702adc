"""BatchReindex: the items of a batch in another order, some several times, some not at all: y[i] = x[index[i]].

Bottoms: x `(N, ...)` and the indices `(M,)`, of 0 up to N - 1; a fraction is cut off. The top is `(M, ...)`. An item's
gradient is the sum over its places; the indices take none. float32 or float64. On a device, which cannot raise errors,
the place of a wrong index is filled with NaN.

Source: Caffe's `BatchReindexLayer`.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from bicerin.device import CudaSource
from bicerin.errors import LayerError, ShapeError
from bicerin.layer import Blob, BlobCounts, Layer


class BatchReindexLayer(Layer):
    """For example with a permutation, to shuffle a batch."""

    type = "BatchReindex"
    counts = BlobCounts(bottom=2, top=1)
    allows_in_place = False
    cuda = CudaSource(__file__, "batch_reindex.cu")

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
        xp = self.xp
        if xp is np:
            top[0].data[...] = bottom[0].data[self._indices(bottom)]
        else:
            batch = bottom[0].shape[0]
            self.kernels.gather(top[0].count, bottom[0].data, bottom[1].data, top[0].data, batch, self._inner)

    def backward(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        xp = self.xp
        if propagate_down[1]:
            raise LayerError("Cannot backprop to index.")
        if propagate_down[0]:
            bottom[0].diff.fill(0)
            if xp is np:
                np.add.at(bottom[0].diff, self._indices(bottom), top[0].diff)
            else:
                batch = bottom[0].shape[0]
                self.kernels.scatter(top[0].count, top[0].diff, bottom[1].data, bottom[0].diff, batch, self._inner)

    @staticmethod
    def _indices(bottom: Sequence[Any]) -> np.ndarray:
        """The second bottom as integers, shape `(M,)`.

        Raises:
            ShapeError: one is no item of the batch.
        """
        values, batch = bottom[1].data, bottom[0].shape[0]
        wrong = ~((values >= 0) & (values < batch))
        if wrong.any():
            position = int(wrong.argmax())
            value = float(values[position])
            bound = "negative" if value < 0 else "greater than batch size"
            raise ShapeError(
                f"Index specified for reindex layer was {bound}: {value:g} at {position}.",
                f"The batch has {batch} item(s): 0 to {batch - 1}." if batch else "The batch is empty.",
            )
        return values.astype(np.int64)
