"""TanH's gradient over flat arrays. The array library's tanh is fast enough for the forward pass."""

from __future__ import annotations

from typing import Any

from bicerin.kernels import elementwise


def backward_array(xp: Any, y: Any, y_diff: Any, x_diff: Any) -> None:
    xp.multiply(y_diff, 1 - y * y, out=x_diff)


@elementwise("y, y_diff -> x_diff", array=backward_array)
def backward(y: Any, y_diff: Any) -> Any:
    return y_diff * (1 - y * y)
