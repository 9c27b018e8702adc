"""Formulas as kernels of the host."""

from typing import Any

import numpy as np
import pytest

from bicerin.kernels import elementwise, formula


def shifted_array(xp: Any, x: Any, y: Any) -> None:
    xp.add(x, 1, out=y)


@elementwise("x -> y", array=shifted_array)
def shifted(x: float) -> float:
    return x + 1


def test_a_formula_is_its_array_form() -> None:
    x = np.arange(100_000, dtype=np.float32)
    y = np.empty_like(x)
    shifted(x, y)
    np.testing.assert_array_equal(y, x + 1)


@formula
def in_two_steps(x: Any) -> Any:
    y = x + 1
    return y * y


def no_return(x: Any) -> Any:
    y = x + 1  # noqa: F841


def two_steps(x: Any) -> Any:
    return in_two_steps(x)


def a_loop(x: Any) -> Any:
    for _ in range(3):
        x = x + 1
    return x


def twice_assigned(x: Any) -> Any:
    y = x
    y = y + 1
    return y * x


def a_power(x: Any) -> Any:
    return x**2


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (no_return, "no_return: a formula must end with a return"),
        (two_steps, "in_two_steps: a formula that others call must be one returned expression"),
        (a_loop, "may only assign names and return, and cannot have `for _ in range"),
        (twice_assigned, "may assign a name only once, and cannot have `y = y"),
        (a_power, r"a formula cannot have `x \*\* 2`"),
    ],
)
def test_what_is_not_a_formula_is_refused(function: Any, reason: str) -> None:
    with pytest.raises(SyntaxError, match=reason):
        elementwise("x -> y", array=shifted_array)(function)
