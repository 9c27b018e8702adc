"""Concat: bottoms joined along one axis.

Bottoms agree in all axes but `axis` (by default 1); the top's axis is the sum of theirs. A single bottom shares its
memory with the top. float32 or float64.

Source: Caffe's `ConcatLayer`.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, pairwise
from math import prod

from bicerin.errors import ShapeError
from bicerin.layer import Blob, BlobCounts, Layer, PutsSideBySide, RereadsBottoms, at_least
from bicerin_structure.axis import read_axis


class ConcatLayer(PutsSideBySide, RereadsBottoms, Layer):
    """For shapes `(N, C1, H, W)`, `(N, C2, H, W)`, ... and axis 1, the top is `(N, C1 + C2 + ..., H, W)`."""

    type = "Concat"
    counts = BlobCounts(bottom=at_least(1), top=1)
    allows_in_place = False

    def layer_set_up(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        param = self.param.concat_param
        if param.HasField("axis") and param.HasField("concat_dim"):
            raise ShapeError("Either axis or concat_dim should be specified; not both.", "concat_dim is deprecated.")
        self._shapes: list[tuple[int, ...]] = []

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        shapes = [blob.shape for blob in bottom]
        if shapes != self._shapes:
            self._join(read_axis(self.param.concat_param, "concat_dim", bottom[0]), shapes)
            self._shapes = shapes
        top[0].reshape(*self._top_shape)
        if len(bottom) == 1:
            top[0].share_data(bottom[0])
            top[0].share_diff(bottom[0])

    def _join(self, axis: int, shapes: list[tuple[int, ...]]) -> None:
        """Find the top's shape and where each bottom is in it."""
        first = shapes[0]
        for index, shape in enumerate(shapes[1:], start=1):
            if len(shape) != len(first):
                raise ShapeError(
                    f"All inputs must have the same #axes: bottom 0 has {len(first)}, bottom {index} has {len(shape)}."
                )
            for i, (expected, size) in enumerate(zip(first, shape, strict=True)):
                if i != axis and size != expected:
                    raise ShapeError(
                        f"All inputs must have the same shape, except at concat_axis {axis}: "
                        f"axis {i} of bottom 0 is {expected}, of bottom {index} {size}."
                    )
        ends = list(accumulate(shape[axis] for shape in shapes))
        before = (slice(None),) * axis
        self.axis = axis
        self._parts = [(*before, slice(start, end)) for start, end in pairwise([0, *ends])]
        self._top_shape = (*first[:axis], ends[-1], *first[axis + 1 :])

    def side_by_side(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> tuple[Blob, Sequence[Blob]] | None:
        return (top[0], bottom) if len(bottom) > 1 and prod(self._top_shape[: self.axis]) == 1 else None

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        xp = self.xp
        if len(bottom) > 1:
            xp.concatenate([blob.data for blob in bottom], axis=self.axis, out=top[0].data)

    def reads_in_bottoms(self) -> bool:
        return False

    def backward(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        if len(bottom) == 1:
            return
        for blob, part, wanted in zip(bottom, self._parts, propagate_down, strict=True):
            if wanted:
                blob.diff[...] = top[0].diff[part]
