"""BNLL over flat arrays."""

from __future__ import annotations

from typing import Any

import numpy as np

from bicerin.kernels import elementwise
from bicerin_activation.sigmoid_kernels import logistic


def forward_array(xp: Any, x: Any, y: Any) -> None:
    tail = xp.log1p(xp.exp(-xp.absolute(x)))
    xp.add(xp.maximum(x, 0), tail, out=y)


@elementwise("x -> y", array=forward_array, fastmath={"contract"})
def forward(x: Any) -> Any:
    # The exponent is never positive, so exp cannot overflow.
    e = np.exp(-np.abs(x))
    # log1p(e) by way of log, which takes half its time: the quotient makes up for the rounding of 1 + e (Kahan).
    u = 1 + e
    tail = e if u == 1 else np.log(u) * (e / (u - 1))
    return (x if x > 0 else 0) + tail


def backward_array(xp: Any, x: Any, y_diff: Any, x_diff: Any) -> None:
    xp.multiply(y_diff, 0.5 * xp.tanh(0.5 * x) + 0.5, out=x_diff)


@elementwise("x, y_diff -> x_diff", array=backward_array, fastmath={"contract"})
def backward(x: Any, y_diff: Any) -> Any:
    return y_diff * logistic(x)
