"""Axes: a blob's shape as the kernels of many layers see it."""

from __future__ import annotations

from bicerin.errors import ShapeError
from bicerin.layer.blob import Blob


def image_shape(blob: Blob) -> tuple[int, int, int, int]:
    """The shape of a blob of images: (num, channels, height, width).

    Raises:
        ShapeError: it has not 4 axes.
    """
    if len(blob.shape) != 4:
        raise ShapeError(
            f"Input must have 4 axes, corresponding to (num, channels, height, width), not {len(blob.shape)}."
        )
    num, channels, height, width = blob.shape
    return num, channels, height, width


def around(blob: Blob, axis: int) -> tuple[int, int, int]:
    """The shape with all axes before `axis` as one, and all behind it: (outer, length, inner). Axes count from 0."""
    return blob.count_between(0, axis), blob.shape[axis], blob.count_between(axis + 1)
