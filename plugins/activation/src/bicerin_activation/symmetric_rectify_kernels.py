"""Soft shrinkage over arrays of shape (outer, channels, inner), one threshold per channel."""

from __future__ import annotations

from typing import Any

from bicerin.kernels import elementwise


def forward_array(xp: Any, x: Any, threshold: Any, y: Any) -> None:
    limit = threshold[:, None]
    y[...] = xp.where(x > limit, x - limit, xp.where(x < -limit, x + limit, 0 * x))


@elementwise("x, threshold[c] -> y", array=forward_array)
def forward(x: Any, threshold: Any) -> Any:
    # 0 * x, so that NaN stays NaN.
    return x - threshold if x > threshold else x + threshold if x < -threshold else 0 * x


def backward_array(xp: Any, x: Any, threshold: Any, y_diff: Any, x_diff: Any) -> None:
    xp.multiply(y_diff, xp.abs(x) > threshold[:, None], out=x_diff)


@elementwise("x, threshold[c], y_diff -> x_diff", array=backward_array)
def backward(x: Any, threshold: Any, y_diff: Any) -> Any:
    return y_diff if x > threshold or x < -threshold else 0
