"""SeLu over flat arrays; `negative` is lambda · alpha."""

from __future__ import annotations

from typing import Any

import numpy as np

from bicerin.kernels import elementwise


def forward_array(xp: Any, x: Any, scale: float, negative: float, y: Any) -> None:
    y[...] = xp.where(x > 0, scale * x, negative * (xp.exp(xp.minimum(x, 0)) - 1))


@elementwise("x -> y", array=forward_array, fastmath={"contract"})
def forward(x: Any, scale: Any, negative: Any) -> Any:
    # Computed for every x, so that the compiler can use vectors.
    other = negative * (np.exp(x) - 1)
    return scale * x if x > 0 else other


def backward_array(xp: Any, x: Any, y: Any, scale: float, negative: float, y_diff: Any, x_diff: Any) -> None:
    xp.multiply(y_diff, xp.where(x > 0, scale, y + negative), out=x_diff)


@elementwise("x, y, y_diff -> x_diff", array=backward_array)
def backward(x: Any, y: Any, scale: Any, negative: Any, y_diff: Any) -> Any:
    return y_diff * (scale if x > 0 else y + negative)
