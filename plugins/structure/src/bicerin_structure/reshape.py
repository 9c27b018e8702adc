"""Reshape: the same elements in another shape.

`shape` replaces the `num_axes` axes from `axis` on (by default all). In it 0 copies the bottom's axis at the same
place, and one -1 stands for what is left. Top and bottom share their memory. float32 or float64.

Source: Caffe's `ReshapeLayer`.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from bicerin.errors import ShapeError
from bicerin.layer import Blob, BlobCounts, Layer


class ReshapeLayer(Layer):
    """Free: only the shape changes."""

    type = "Reshape"
    counts = BlobCounts(bottom=1, top=1)
    allows_in_place = False

    def layer_set_up(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        self._dims = list(self.param.reshape_param.shape.dim)
        if self._dims.count(-1) > 1:
            raise ShapeError(
                "new shape contains multiple -1 dims; at most a single (1) value of -1 may be specified: "
                f"{tuple(self._dims)}."
            )

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        top[0].reshape(*self._top_shape(bottom[0].shape))
        top[0].share_data(bottom[0])
        top[0].share_diff(bottom[0])

    def _top_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        start, end = self._replaced(len(shape))
        copied = {place: start + place for place, dim in enumerate(self._dims) if dim == 0}
        if any(axis >= len(shape) for axis in copied.values()):
            raise ShapeError(
                "new shape contains a 0, but there was no corresponding bottom axis to copy: "
                f"{tuple(self._dims)} from axis {start} on, for a bottom of {len(shape)} axes."
            )
        dims = [shape[copied[place]] if place in copied else dim for place, dim in enumerate(self._dims)]
        if -1 in dims:
            known = [*shape[:start], *(dim for dim in dims if dim != -1), *shape[end:]]
            dims[dims.index(-1)] = self._inferred(shape, known)
        result = (*shape[:start], *dims, *shape[end:])
        if prod(result) != prod(shape) or min(result, default=0) < 0:
            raise ShapeError(
                f"output count must match input count: {result} has {prod(result)} elements, and the bottom of shape "
                f"{shape} has {prod(shape)}."
            )
        return result

    def _replaced(self, axes: int) -> tuple[int, int]:
        """The first axis that `shape` replaces, and the one after the last."""
        param = self.param.reshape_param
        start = param.axis if param.axis >= 0 else axes + param.axis + 1
        if not 0 <= start <= axes:
            raise ShapeError(
                f"axis {param.axis} out of range for {axes}-D input blob.", f"It may be {-axes - 1} to {axes}."
            )
        if param.num_axes < -1:
            raise ShapeError(f"num_axes must be >= 0, or -1 for all; it is {param.num_axes}.")
        end = axes if param.num_axes == -1 else start + param.num_axes
        if end > axes:
            raise ShapeError(f"end_axis = axis + num_axes is out of range: {start} + {param.num_axes} of {axes} axes.")
        return start, end

    @staticmethod
    def _inferred(shape: Sequence[int], known: Sequence[int]) -> int:
        """The axis that -1 stands for. An empty batch that is kept does not count, since anything fits it."""
        count, explicit = prod(shape), prod(known)
        if explicit == 0:
            count, explicit = prod(filter(None, shape)), prod(filter(None, known))
        if count % explicit:
            raise ShapeError(
                f"bottom count ({count}) must be divisible by the product of the specified dimensions ({explicit})."
            )
        return count // explicit

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        """The data is shared."""

    def backward(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        """The diff is shared."""
