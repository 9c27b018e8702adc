"""Slice: one bottom cut along one axis into several tops.

`slice_point` gives the ascending places where to cut; without it the tops are of equal size. A single top shares its
memory with the bottom. float32 or float64.

Source: Caffe's `SliceLayer`.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import prod

from bicerin.errors import ShapeError
from bicerin.layer import Blob, BlobCounts, Layer, PutsSideBySide, at_least
from bicerin_structure.axis import read_axis


class SliceLayer(PutsSideBySide, Layer):
    """For shape `(N, C, H, W)`, axis 1 and slice points a, b, the tops have a, b - a and C - b channels."""

    type = "Slice"
    counts = BlobCounts(bottom=1, top=at_least(1))
    allows_in_place = False

    def layer_set_up(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        param = self.param.slice_param
        if param.HasField("axis") and param.HasField("slice_dim"):
            raise ShapeError("Either axis or slice_dim should be specified; not both.", "slice_dim is deprecated.")
        self._shape: tuple[int, ...] | None = None

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        shape = bottom[0].shape
        if shape != self._shape:
            self.axis = axis = read_axis(self.param.slice_param, "slice_dim", bottom[0])
            spans = list(pairwise([0, *self._ends(shape[axis], len(top))]))
            self._parts = [(*(slice(None),) * axis, slice(start, end)) for start, end in spans]
            self._top_shapes = [(*shape[:axis], end - start, *shape[axis + 1 :]) for start, end in spans]
            self._shape = shape
        for blob, top_shape in zip(top, self._top_shapes, strict=True):
            blob.reshape(*top_shape)
        if len(top) == 1:
            top[0].share_data(bottom[0])
            top[0].share_diff(bottom[0])

    def _ends(self, size: int, tops: int) -> list[int]:
        """Where each top's part of an axis of `size` ends."""
        points = list(self.param.slice_param.slice_point)
        if not points:
            if size % tops:
                raise ShapeError(
                    f"Number of top blobs ({tops}) should evenly divide input slice axis ({size}).",
                    "Give slice_point, one fewer than there are tops, for parts of different sizes.",
                )
            return [size // tops * (index + 1) for index in range(tops)]
        if len(points) != tops - 1:
            raise ShapeError(f"{tops} tops need {tops - 1} slice points, not {len(points)}.")
        if tops > size:
            raise ShapeError(f"the slice axis has {size} element(s), too few for {tops} tops.")
        ends = [*points, size]
        if points[0] <= 0 or any(end <= start for start, end in pairwise(points)) or points[-1] > size:
            raise ShapeError(
                f"slice points {points} do not cut an axis of {size}.",
                "They must ascend, from 1 to the size of the axis.",
            )
        return ends

    def side_by_side(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> tuple[Blob, Sequence[Blob]] | None:
        return (bottom[0], top) if len(top) > 1 and prod(bottom[0].shape[: self.axis]) == 1 else None

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        if len(top) > 1:
            for blob, part in zip(top, self._parts, strict=True):
                blob.data[...] = bottom[0].data[part]

    def backward(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        if propagate_down[0] and len(top) > 1:
            for blob, part in zip(top, self._parts, strict=True):
                bottom[0].diff[part] = blob.diff
