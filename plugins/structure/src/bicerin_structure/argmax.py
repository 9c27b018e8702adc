"""ArgMax: where the `top_k` largest values are, the largest first; of equal ones the later index first.

With `axis`, along that axis, which becomes `top_k` long; `out_max_val` gives the values instead of the indices.
Without, over all axes but the first: the top is `(N, 1, top_k)`, or with `out_max_val` `(N, 2, top_k)` of indices, then
values, followed by as many 1 as the bottom has axes past the third. float32 or float64; no gradient.

Source: Caffe's `ArgMaxLayer`.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from bicerin.errors import ShapeError
from bicerin.layer import Blob, BlobCounts, Chooses, Layer


class ArgMaxLayer(Chooses, Layer):
    """The predicted class, or the best few, from scores."""

    type = "ArgMax"
    counts = BlobCounts(bottom=1, top=1)
    allows_in_place = False

    def layer_set_up(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        param = self.param.argmax_param
        if param.top_k < 1:
            raise ShapeError("top k must not be less than 1.")
        self.top_k: int = param.top_k
        self.out_max_val: bool = param.out_max_val

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        param = self.param.argmax_param
        self.axis = bottom[0].canonical_axis(param.axis) if param.HasField("axis") else None
        shape = bottom[0].shape
        if self.axis is None:
            self._require_elements(
                bottom[0].count_between(1), "the dimension of the flattened bottom blob per instance"
            )
            kept = shape[0] if shape else 1
            top[0].reshape(kept, 2 if self.out_max_val else 1, self.top_k, *[1] * (len(shape) - 3))
        else:
            self._require_elements(shape[self.axis], "the dimension of the axis")
            top[0].reshape(*shape[: self.axis], self.top_k, *shape[self.axis + 1 :])

    def _require_elements(self, size: int, what: str) -> None:
        if self.top_k > size:
            raise ShapeError(f"top_k must be less than or equal to {what}: {self.top_k} of {size}.")

    def allow_force_backward(self, bottom_index: int) -> bool:
        return False

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        xp = self.xp
        x, y = self._as_columns(bottom[0].data, top[0].data)
        indices = self._largest(xp, x)
        if self.out_max_val:
            y[:, -1:] = xp.take_along_axis(x, indices, axis=2)
        if self.axis is None or not self.out_max_val:
            y[:, :1] = indices

    def _as_columns(self, x: Any, y: Any) -> tuple[Any, Any]:
        """The bottom's array as (outer, 1, size, inner), of which axis 2 is compared, and the top's beside it."""
        if self.axis is None:
            rows = y.shape[0]
            return x.reshape(rows, 1, prod(x.shape[1:]), 1), y.reshape(rows, y.shape[1], self.top_k, 1)
        outer, inner = prod(x.shape[: self.axis]), prod(x.shape[self.axis + 1 :])
        return x.reshape(outer, 1, x.shape[self.axis], inner), y.reshape(outer, 1, self.top_k, inner)

    def chosen(self, bottom: Sequence[Blob], top: int, choices: np.ndarray) -> np.ndarray | None:
        if self.axis is not None and self.out_max_val:
            return None
        x, found = self._as_columns(bottom[0].read_only.data, np.array(choices))
        places = found[:, :1]
        inside = (places == np.floor(places)) & (places >= 0) & (places < x.shape[2])
        values = np.take_along_axis(x, np.where(inside, places, 0).astype(np.int64), axis=2)
        found[:, :1] = np.where(inside, values, np.nan)
        return found.reshape(choices.shape)

    def _largest(self, xp: Any, x: Any) -> Any:
        """The indices along axis 2, shape `(outer, 1, top_k, inner)`; read backwards, so that ties go to the later."""
        last = x.shape[2] - 1
        backwards = x[:, :, ::-1]
        if self.top_k == 1:
            return last - xp.expand_dims(xp.argmax(backwards, axis=2), 2)
        return last - xp.argsort(-backwards, axis=2, kind="stable")[:, :, : self.top_k]
