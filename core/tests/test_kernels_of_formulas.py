"""Formulas as kernels of the host."""

from typing import Any

import numpy as np

from bicerin.kernels import elementwise


def shifted_array(xp: Any, x: Any, y: Any) -> None:
    xp.add(x, 1, out=y)


@elementwise("x -> y", array=shifted_array)
def shifted(x):  # type: ignore[no-untyped-def]
    return x + 1


def test_a_formula_is_its_array_form() -> None:
    x = np.arange(100_000, dtype=np.float32)
    y = np.empty_like(x)
    shifted(x, y)
    np.testing.assert_array_equal(y, x + 1)
