"""How the second operand of Scale and Bias lies against the first: along which of its axes."""

from __future__ import annotations

from math import prod

from bicerin.errors import ShapeError
from bicerin.layer import Blob


def operand_shape(kind: str, bottom: Blob, axis: int, num_axes: int) -> tuple[int, ...]:
    """The shape of a learned operand: `num_axes` axes of the bottom from `axis` on, or with -1 all that follow.

    Raises:
        ShapeError: the bottom has not as many axes.
    """
    axis = bottom.canonical_axis(axis)
    if num_axes < -1:
        raise ShapeError(f"num_axes must be non-negative, or -1 to extend to the end of bottom[0], not {num_axes}.")
    if num_axes == -1:
        return bottom.shape[axis:]
    _require_room(kind, bottom, axis, num_axes)
    return bottom.shape[axis : axis + num_axes]


def align(kind: str, bottom: Blob, operand: tuple[int, ...], axis: int) -> tuple[int, int, int]:
    """The bottom's shape as `(outer, dim, inner)`, where the operand is `(dim,)`.

    Raises:
        ShapeError: the operand's axes are not those of the bottom from `axis` on.
    """
    if not operand:
        return 1, 1, bottom.count
    axis = bottom.canonical_axis(axis)
    _require_room(kind, bottom, axis, len(operand))
    for index, size in enumerate(operand):
        if bottom.shape[axis + index] != size:
            raise ShapeError(
                f"dimension mismatch between bottom[0]->shape({axis + index}) and {kind}->shape({index}): "
                f"{bottom.shape[axis + index]} against {size}."
            )
    return prod(bottom.shape[:axis]), prod(operand), prod(bottom.shape[axis + len(operand) :])


def _require_room(kind: str, bottom: Blob, axis: int, num_axes: int) -> None:
    if bottom.num_axes < axis + num_axes:
        raise ShapeError(
            f"{kind} blob's shape extends past bottom[0]'s shape when applied starting with bottom[0] axis = {axis}: "
            f"it has {num_axes} axes, and bottom[0] has {bottom.num_axes - axis} from there on."
        )
