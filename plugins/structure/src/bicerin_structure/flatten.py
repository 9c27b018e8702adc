"""Flatten: the axes from `axis` to `end_axis`, both included, made one.

By default `(N, C, H, W)` becomes `(N, C * H * W)`. Top and bottom share their memory. float32 or float64.

Source: Caffe's `FlattenLayer`.
"""

from __future__ import annotations

from collections.abc import Sequence

from bicerin.errors import ShapeError
from bicerin.layer import Blob, BlobCounts, Layer


class FlattenLayer(Layer):
    """Free: only the shape changes."""

    type = "Flatten"
    counts = BlobCounts(bottom=1, top=1)
    allows_in_place = False

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        param = self.param.flatten_param
        first, last = bottom[0].canonical_axis(param.axis), bottom[0].canonical_axis(param.end_axis)
        if first > last + 1:
            raise ShapeError(
                f"axis {param.axis} comes after end_axis {param.end_axis}.",
                f"For a bottom of shape {bottom[0].shape} these are {first} and {last}; nothing lies between them.",
            )
        shape = bottom[0].shape
        top[0].reshape(*shape[:first], bottom[0].count_between(first, last + 1), *shape[last + 1 :])
        top[0].share_data(bottom[0])
        top[0].share_diff(bottom[0])

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        """The data is shared."""

    def backward(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        """The diff is shared."""
