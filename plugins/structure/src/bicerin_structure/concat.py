"""Concat: bottoms joined along one axis.

Bottoms agree in all axes but `axis` (by default 1); the top's axis is the sum of theirs. A single bottom shares its
memory with the top. float32 or float64.

Source: Caffe's `ConcatLayer`.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import Any

from bicerin.blob import Blob
from bicerin.errors import ShapeError
from bicerin.layer import ArrayLayer, BlobCounts, at_least


class ConcatLayer(ArrayLayer):
    """For shapes `(N, C1, H, W)`, `(N, C2, H, W)`, ... and axis 1, the top is `(N, C1 + C2 + ..., H, W)`."""

    type = "Concat"
    counts = BlobCounts(bottom=at_least(1), top=1)

    def layer_set_up(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        param = self.param.concat_param
        if param.HasField("axis") and param.HasField("concat_dim"):
            raise ShapeError("Either axis or concat_dim should be specified; not both.", "concat_dim is deprecated.")

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        self._axis = axis = self._read_axis(bottom[0])
        shape = list(bottom[0].shape)
        for index, blob in enumerate(bottom[1:], start=1):
            if blob.num_axes != len(shape):
                raise ShapeError(
                    "All inputs must have the same #axes: "
                    f"bottom 0 has {len(shape)}, bottom {index} has {blob.num_axes}."
                )
            for i, (expected, size) in enumerate(zip(bottom[0].shape, blob.shape, strict=True)):
                if i != axis and size != expected:
                    raise ShapeError(
                        f"All inputs must have the same shape, except at concat_axis {axis}: "
                        f"axis {i} of bottom 0 is {expected}, of bottom {index} {size}."
                    )
            shape[axis] += blob.shape[axis]
        top[0].reshape(*shape)
        if len(bottom) == 1:
            top[0].share_data(bottom[0])
            top[0].share_diff(bottom[0])
        ends = list(accumulate(blob.shape[axis] for blob in bottom))
        before = (slice(None),) * axis
        self._parts = [(*before, slice(start, end)) for start, end in zip([0, *ends], ends, strict=False)]

    def _read_axis(self, blob: Blob) -> int:
        param = self.param.concat_param
        if not param.HasField("concat_dim"):
            return blob.canonical_axis(param.axis)
        axis: int = param.concat_dim
        if axis >= blob.num_axes:
            raise ShapeError(f"concat_dim out of range: {axis} for an input of {blob.num_axes} axes.")
        return axis

    def forward_array(self, xp: Any, bottom: Sequence[Any], top: Sequence[Any]) -> None:
        if len(bottom) > 1:
            xp.concatenate([blob.data for blob in bottom], axis=self._axis, out=top[0].data)

    def backward_array(
        self, xp: Any, top: Sequence[Any], propagate_down: Sequence[bool], bottom: Sequence[Any]
    ) -> None:
        if len(bottom) == 1:
            return
        for blob, part, wanted in zip(bottom, self._parts, propagate_down, strict=True):
            if wanted:
                blob.diff[...] = top[0].diff[part]
