"""ReLU6 over flat arrays. NaN stays NaN."""

from __future__ import annotations

from typing import Any

from bicerin.kernels import elementwise


def forward_array(xp: Any, x: Any, slope: float, y: Any) -> None:
    low = x * x.dtype.type(slope) if slope else 0
    xp.minimum(xp.where(x <= 0, low, x), 6, out=y)


@elementwise("x -> y", array=forward_array)
def forward(x: Any, slope: Any) -> Any:
    # Without a slope even -inf becomes 0.
    value = (0 if slope == 0 else x * slope) if x <= 0 else x
    return 6 if value > 6 else value


def backward_array(xp: Any, x: Any, slope: float, y_diff: Any, x_diff: Any) -> None:
    x_diff[...] = y_diff * xp.where(x <= 0, x.dtype.type(slope), (x < 6).astype(x.dtype))


@elementwise("x, y_diff -> x_diff", array=backward_array)
def backward(x: Any, slope: Any, y_diff: Any) -> Any:
    return y_diff * (slope if x <= 0 else 1 if x < 6 else 0)
