"""Scale, shift and slope of arrays of shape (outer, channels, inner), in one pass."""

from __future__ import annotations

from typing import Any

from bicerin.kernels import elementwise
from bicerin.kernels.finishing import finish_array


def scaled_array(xp: Any, x: Any, scale: Any, shift: Any, slope: float, y: Any) -> None:
    xp.multiply(x, scale[:, None], out=y)
    finish_array(xp, y, scale[:0], shift, slope)  # without a scale: that is done


@elementwise("x, scale[c], shift[c] -> y", array=scaled_array)
def finish(x: Any, scale: Any, shift: Any, slope: Any) -> Any:
    value = x * scale + shift
    # NaN, which fails every comparison, stays NaN; with a slope of 0, -inf becomes 0.
    return (0 if slope == 0 else value * slope) if value <= 0 else value
