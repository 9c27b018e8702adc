"""What is computed of boxes, given by their centres and sizes: parts of other modules' kernels."""

from __future__ import annotations

from typing import Any

import numpy as np

from bicerin.kernels import part


@part
def sigmoid(x):  # type: ignore[no-untyped-def]
    one = x * 0 + 1
    return one / (one + np.exp(-x))


def sigmoids(xp: Any, x: Any) -> Any:
    """The same of a whole array, on any device."""
    return 1 / (1 + xp.exp(-x))


@part
def overlap(x, y, w, h, u, v, p, q):  # type: ignore[no-untyped-def]
    """Intersection over union of the box at (x, y) of size (w, h) and that at (u, v) of size (p, q)."""
    width = min(x + w / 2, u + p / 2) - max(x - w / 2, u - p / 2)
    height = min(y + h / 2, v + q / 2) - max(y - h / 2, v - q / 2)
    if width < 0 or height < 0:
        return w * 0
    common = width * height
    return common / (w * h + p * q - common)


def overlaps(xp: Any, boxes: Any, others: Any) -> Any:
    """The same of whole arrays, whose last axis is x, y, width, height, on any device; 0 of two without an area."""
    half, other_half = boxes[..., 2:] / 2, others[..., 2:] / 2
    start = xp.maximum(boxes[..., :2] - half, others[..., :2] - other_half)
    extent = xp.minimum(boxes[..., :2] + half, others[..., :2] + other_half) - start
    common = xp.where((extent < 0).any(axis=-1), 0, extent.prod(axis=-1))
    union = boxes[..., 2:].prod(axis=-1) + others[..., 2:].prod(axis=-1) - common
    return common / xp.where(union == 0, 1, union)
