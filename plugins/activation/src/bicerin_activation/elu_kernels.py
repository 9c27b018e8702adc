"""ELU over flat arrays."""

from __future__ import annotations

from typing import Any

import numpy as np

from bicerin.kernels import elementwise


def forward_array(xp: Any, x: Any, alpha: float, y: Any) -> None:
    y[...] = xp.where(x > 0, x, alpha * (xp.exp(xp.minimum(x, 0)) - 1))


@elementwise("x -> y", array=forward_array, fastmath={"contract"})
def forward(x: Any, alpha: Any) -> Any:
    # Computed for every x, so that the compiler can use vectors.
    negative = alpha * (np.exp(x) - 1)
    return x if x > 0 else negative


def backward_array(xp: Any, x: Any, y: Any, alpha: float, y_diff: Any, x_diff: Any) -> None:
    xp.multiply(y_diff, xp.where(x > 0, 1, y + alpha), out=x_diff)


@elementwise("x, y, y_diff -> x_diff", array=backward_array)
def backward(x: Any, y: Any, alpha: Any, y_diff: Any) -> Any:
    return y_diff * (1 if x > 0 else y + alpha)
