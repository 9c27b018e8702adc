"""Axpy over arrays of shape (outer, channels, inner), with one factor per channel, shape (channels,)."""

from __future__ import annotations

from typing import Any

from bicerin.kernels import elementwise


def has_rows(a: Any, x: Any, *_: Any) -> bool:
    """Whether the kernels are the faster form: where inner is 1, NumPy runs along the channels, if they are many."""
    return x.shape[2] > 1 or x.size < 1000


def multiply_add_array(xp: Any, a: Any, x: Any, y: Any, out: Any) -> None:
    if out is y:
        out += a[:, None] * x
    else:
        xp.multiply(a[:, None], x, out=out)
        out += y


@elementwise("a[c], x, y -> out", array=multiply_add_array, compiled_where=has_rows)
def multiply_add(a: Any, x: Any, y: Any) -> Any:
    return a * x + y


def multiply_array(xp: Any, a: Any, x: Any, out: Any) -> None:
    xp.multiply(a[:, None], x, out=out)


@elementwise("a[c], x -> out", array=multiply_array, compiled_where=has_rows)
def multiply(a: Any, x: Any) -> Any:
    return a * x
