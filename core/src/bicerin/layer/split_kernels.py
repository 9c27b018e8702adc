"""The sum of the gradients of a Split's tops, in as few passes over memory as there can be."""

from __future__ import annotations

from typing import Any

from bicerin.kernels import elementwise


def add_two_array(xp: Any, first: Any, second: Any, total: Any) -> None:
    xp.add(first, second, out=total)


@elementwise("first, second -> total", array=add_two_array)
def add_two(first: Any, second: Any) -> Any:
    return first + second


def add_four_array(xp: Any, first: Any, second: Any, third: Any, fourth: Any, total: Any) -> None:
    xp.add(first, second, out=total)
    xp.add(total, third, out=total)
    xp.add(total, fourth, out=total)


@elementwise("first, second, third, fourth -> total", array=add_four_array)
def add_four(first: Any, second: Any, third: Any, fourth: Any) -> Any:
    # In the tops' order, as Caffe adds them.
    return ((first + second) + third) + fourth
