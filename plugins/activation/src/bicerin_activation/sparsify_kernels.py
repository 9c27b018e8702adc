"""Sparsify over flat arrays."""

from __future__ import annotations

from typing import Any

from bicerin.kernels import elementwise


def forward_array(xp: Any, x: Any, threshold: float, y: Any) -> None:
    y[...] = xp.where(xp.abs(x) > threshold, x, 0 * x)


@elementwise("x -> y", array=forward_array)
def forward(x: Any, threshold: Any) -> Any:
    # 0 * x, so that NaN stays NaN.
    return x if x > threshold or x < -threshold else 0 * x


def backward_array(xp: Any, x: Any, coefficient: float, y_diff: Any, x_diff: Any) -> None:
    xp.add(y_diff, xp.sign(x) * x.dtype.type(coefficient), out=x_diff)


@elementwise("x, y_diff -> x_diff", array=backward_array)
def backward(x: Any, coefficient: Any, y_diff: Any) -> Any:
    return y_diff + coefficient if x > 0 else y_diff - coefficient if x < 0 else y_diff
