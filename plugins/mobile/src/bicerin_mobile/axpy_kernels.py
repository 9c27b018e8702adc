"""Axpy over arrays of shape (outer, channels, inner), with one factor per channel, shape (channels,)."""

from __future__ import annotations

from typing import Any

from bicerin.kernels import elementwise


def multiply_add_array(xp: Any, a: Any, x: Any, y: Any, out: Any) -> None:
    if out is y:
        out += a[:, None] * x
    else:
        xp.multiply(a[:, None], x, out=out)
        out += y


@elementwise("a[c], x, y -> out", array=multiply_add_array)
def multiply_add(a: Any, x: Any, y: Any) -> Any:
    return a * x + y


def multiply_array(xp: Any, a: Any, x: Any, out: Any) -> None:
    xp.multiply(a[:, None], x, out=out)


@elementwise("a[c], x -> out", array=multiply_array)
def multiply(a: Any, x: Any) -> Any:
    return a * x
