"""Scale, shift and slope of arrays of shape (outer, channels, inner), in one pass."""

from __future__ import annotations

from typing import Any

from bicerin.kernels import elementwise


def finish_array(xp: Any, x: Any, scale: Any, shift: Any, slope: float, y: Any) -> None:
    xp.multiply(x, scale[:, None], out=y)
    y += shift[:, None]
    if slope != 1:
        y[...] = xp.where(y <= 0, y * y.dtype.type(slope) if slope else y.dtype.type(0), y)


@elementwise("x, scale[c], shift[c] -> y", array=finish_array)
def finish(x: Any, scale: Any, shift: Any, slope: Any) -> Any:
    value = x * scale + shift
    # NaN, which fails every comparison, stays NaN; with a slope of 0, -inf becomes 0.
    return (0 if slope == 0 else value * slope) if value <= 0 else value
