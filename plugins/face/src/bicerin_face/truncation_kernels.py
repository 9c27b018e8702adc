"""Truncation over flat arrays."""

from __future__ import annotations

from typing import Any

from bicerin.kernels import elementwise


def forward_array(xp: Any, x: Any, lower: Any, upper: Any, y: Any) -> None:
    xp.clip(x, lower, upper, out=y)


@elementwise("x -> y", array=forward_array)
def forward(x: Any, lower: Any, upper: Any) -> Any:
    return lower if x < lower else upper if x > upper else x


def backward_array(xp: Any, x: Any, lower: Any, upper: Any, y_diff: Any, x_diff: Any) -> None:
    xp.multiply(y_diff, (x > lower) & (x < upper), out=x_diff)


@elementwise("x, y_diff -> x_diff", array=backward_array)
def backward(x: Any, lower: Any, upper: Any, y_diff: Any) -> Any:
    return y_diff if x > lower and x < upper else 0
