"""Smooth L1: quadratic near 0, linear further out, and its slope. Girshick, Fast R-CNN, 2015."""

from __future__ import annotations

from typing import Any

from bicerin.errors import ShapeError
from bicerin.layer import Blob


def smooth_l1(xp: Any, x: Any, sigma2: float) -> Any:
    """sigma2 x^2 / 2 where |x| < 1 / sigma2, and |x| - 1 / (2 sigma2) elsewhere."""
    distance = xp.abs(x)
    return xp.where(distance < 1 / sigma2, (0.5 * sigma2) * x * x, distance - 0.5 / sigma2)


def smooth_l1_slope(xp: Any, x: Any, sigma2: float) -> Any:
    """sigma2 x where |x| < 1 / sigma2, and the sign of x elsewhere."""
    return xp.clip(x * sigma2, -1, 1)


def require_same_shape(first: Blob, other: Blob) -> None:
    """Raise a `ShapeError` unless both have the same N, C, H, W; axes that are not there count as 1."""
    for axis in ("num", "channels", "height", "width"):
        if getattr(first, axis) != getattr(other, axis):
            raise ShapeError(
                f"{other.name or 'a bottom'} has {axis} {getattr(other, axis)}, but {first.name or 'bottom 0'} has "
                f"{getattr(first, axis)}.",
                "Predictions, targets and weights must have the same shape.",
            )
