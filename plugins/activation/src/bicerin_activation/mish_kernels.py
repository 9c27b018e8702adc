"""Mish over flat arrays.

With e = exp(-|x|), t = tanh(log(1 + exp(x))) is (1 + 2 e) / (1 + 2 e + 2 e²) where x ≥ 0, (e² + 2 e) / (e² + 2 e + 2)
elsewhere.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from bicerin.kernels import elementwise
from bicerin_activation.sigmoid_kernels import logistic


def _tangent(xp: Any, x: Any) -> Any:
    e = xp.exp(-xp.absolute(x))
    numerator = xp.where(x < 0, e * (e + 2), 1 + 2 * e)
    return numerator / (numerator + xp.where(x < 0, 2, 2 * e * e))


def forward_array(xp: Any, x: Any, y: Any) -> None:
    xp.multiply(x, _tangent(xp, x), out=y)


@elementwise("x -> y", array=forward_array, fastmath={"contract"})
def forward(x: Any) -> Any:
    e = np.exp(-np.abs(x))
    numerator = e * (e + 2) if x < 0 else 1 + 2 * e
    rest = 2 if x < 0 else 2 * e * e
    return x * (numerator / (numerator + rest))


def backward_array(xp: Any, x: Any, y_diff: Any, x_diff: Any) -> None:
    t = _tangent(xp, x)
    xp.multiply(y_diff, t + x * (1 - t * t) * (0.5 * xp.tanh(0.5 * x) + 0.5), out=x_diff)


@elementwise("x, y_diff -> x_diff", array=backward_array, fastmath={"contract"})
def backward(x: Any, y_diff: Any) -> Any:
    e = np.exp(-np.abs(x))
    numerator = e * (e + 2) if x < 0 else 1 + 2 * e
    rest = 2 if x < 0 else 2 * e * e
    t = numerator / (numerator + rest)
    return y_diff * (t + x * (1 - t * t) * logistic(x))
