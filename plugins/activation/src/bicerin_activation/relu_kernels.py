"""ReLU over flat arrays."""

from __future__ import annotations

from typing import Any

from bicerin.kernels import elementwise


def forward_array(xp: Any, x: Any, slope: float, y: Any) -> None:
    if slope == 0:
        xp.maximum(x, 0, out=y)
    else:
        y[...] = xp.where(x > 0, x, x * slope)


@elementwise("x -> y", array=forward_array)
def forward(x: Any, slope: Any) -> Any:
    # With a slope of 0, -inf becomes 0; NaN, which fails every comparison, stays NaN.
    return x if x > 0 else 0 if slope == 0 and x <= 0 else x * slope


def backward_array(xp: Any, x: Any, slope: float, y_diff: Any, x_diff: Any) -> None:
    x_diff[...] = xp.where(x > 0, y_diff, y_diff * slope)


@elementwise("x, y_diff -> x_diff", array=backward_array)
def backward(x: Any, slope: Any, y_diff: Any) -> Any:
    return y_diff if x > 0 else y_diff * slope
