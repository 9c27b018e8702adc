"""The arithmetic of MyLayer over arrays of shape (N, C, the rest): each operation for every device.

Of an `elementwise` formula the loop for the CPU and the CUDA kernel are made; the array form beside it is its
reference, and runs where there is no compiler. An `array_operation` is array code alone: `xp` is NumPy or CuPy.
"""

from __future__ import annotations

from typing import Any

from bicerin.kernels import array_operation, elementwise


def shrink_array(xp: Any, x: Any, weight: Any, threshold: float, shrunk: Any, y: Any) -> None:
    shrunk[...] = xp.sign(x) * xp.maximum(xp.abs(x) - threshold, 0)
    xp.multiply(shrunk, weight[:, None], out=y)


@elementwise("x, weight[c] -> shrunk, y", array=shrink_array)
def shrink(x: Any, weight: Any, threshold: Any) -> Any:
    small = x >= -threshold and x <= threshold
    shrunk = 0 if small else (x - threshold if x > 0 else x + threshold)
    return shrunk, shrunk * weight


def shrink_backward_array(xp: Any, shrunk: Any, weight: Any, y_diff: Any, x_diff: Any) -> None:
    xp.multiply(y_diff * weight[:, None], shrunk != 0, out=x_diff)


@elementwise("shrunk, weight[c], y_diff -> x_diff", array=shrink_backward_array)
def shrink_backward(shrunk: Any, weight: Any, y_diff: Any) -> Any:
    return 0 if shrunk == 0 else y_diff * weight


@array_operation
def weight_gradient(xp: Any, shrunk: Any, y_diff: Any, gradient: Any, add: bool) -> None:
    total = (shrunk * y_diff).sum(axis=(0, 2))
    gradient[...] = gradient + total if add else total
