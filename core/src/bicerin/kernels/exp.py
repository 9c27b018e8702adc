"""exp for use inside kernels: in float32 a few multiplications that the compiler turns into vector instructions.

A call of the C library's `expf` in a loop keeps the loop from being vectorized. `exponential(x)` is exp(x) within
2e-7 of its size, from the smallest denormal to infinity; NaN stays NaN. For float64 it is the library's exp. In kernels
with `fastmath={"contract"}`, where a multiplication may be fused with the addition after it, it is twice as fast.
"""

from __future__ import annotations

from math import factorial
from typing import Any

import numpy as np

from bicerin.kernels.compiled import COMPILED


def exponential(x: Any) -> Any:
    """exp(x), for one float32 or float64."""
    return np.exp(x)


if COMPILED:
    from numba import types
    from numba.extending import overload

    _f32, _i32 = np.float32, np.int32
    # exp(x) = 2**n * exp(r) with x = n log 2 + r, |r| <= log(2) / 2. The first part of log 2 has few bits, so that its
    # product with n is exact.
    _LOG2_E = _f32(1 / np.log(2.0))
    _LOG_2_HIGH = _f32(355 / 512)
    _LOG_2_LOW = _f32(np.log(2.0) - 355 / 512)
    _LEAST, _MOST, _HALF = _f32(-104), _f32(89), _f32(0.5)
    _BIAS, _ONE, _MANTISSA = _i32(127), _i32(1), _i32(23)
    # The Taylor series; what is left out is less than half a unit in the last place.
    _C0, _C1, _C2, _C3, _C4, _C5, _C6, _C7 = (_f32(1 / factorial(k)) for k in range(8))

    # Both are without annotations: Numba takes an overload's forms only where their signatures are the same as its own.
    def _exponential_float32(x):  # type: ignore[no-untyped-def]
        x = min(max(x, _LEAST), _MOST)
        n = np.floor(x * _LOG2_E + _HALF)
        r = x - n * _LOG_2_HIGH - n * _LOG_2_LOW
        series = _C4 + r * (_C5 + r * (_C6 + r * _C7))
        series = _C0 + r * (_C1 + r * (_C2 + r * (_C3 + r * series)))
        # In two factors, since 2**n itself may be out of range where the result is not.
        whole = _i32(n)
        half = whole >> _ONE
        rest = whole - half
        first = _i32((half + _BIAS) << _MANTISSA).view(_f32)
        second = _i32((rest + _BIAS) << _MANTISSA).view(_f32)
        return series * first * second

    @overload(exponential, inline="always")
    def _exponential(x):  # type: ignore[no-untyped-def]
        return _exponential_float32 if x == types.float32 else lambda x: np.exp(x)
