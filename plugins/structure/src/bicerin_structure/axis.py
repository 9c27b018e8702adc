"""The axis of Concat and Slice, under its own name or the older one."""

from __future__ import annotations

from typing import Any

from bicerin.errors import ShapeError
from bicerin.layer import Blob


def read_axis(param: Any, older: str, blob: Blob) -> int:
    """The axis that `axis` or the older field names, from 0 on.

    Raises:
        ShapeError: the blob has no such axis.
    """
    if not param.HasField(older):
        return blob.canonical_axis(param.axis)
    axis: int = getattr(param, older)
    if axis >= blob.num_axes:
        raise ShapeError(f"{older} out of range: {axis} for an input of {blob.num_axes} axes.")
    return axis
