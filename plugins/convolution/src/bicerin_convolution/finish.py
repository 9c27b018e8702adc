"""What becomes of each sum of a convolution on its way to the output: f(scale * sum + shift).

A scale, a shift and a slope stand for each channel; f(v) = v where v > 0, else slope * v. A bias alone is a shift.
"""

from __future__ import annotations

import numpy as np

from bicerin.kernels import kernel
from bicerin.pointwise import Finish
from bicerin_convolution.workspace import workspace


def finish_table(finish: np.ndarray | Finish | None, channels: int, dtype: np.dtype) -> np.ndarray:
    """Scales, shifts and slopes, `(3, channels)`; from a bias `(channels,)`, or nothing, too. Valid until the next."""
    table = workspace("finish", (3, channels), dtype)
    table[0], table[1], table[2] = 1, 0, 1
    if isinstance(finish, Finish):
        if finish.scale.size:
            table[0] = finish.scale
        if finish.shift.size:
            table[1] = finish.shift
        table[2] = finish.slope
    elif finish is not None:
        table[1] = finish
    return table


@kernel()
def finished(value, scale, shift, slope):  # type: ignore[no-untyped-def]
    value = value * scale + shift
    if value <= 0:  # NaN stays NaN
        value = value * slope if slope != 0 else slope
    return value


def finish_array(y: np.ndarray, finish: np.ndarray | Finish | None) -> None:
    """The same on a whole output `(N, channels, ...)`."""
    if not isinstance(finish, Finish):
        if finish is not None:
            y += finish.reshape(-1, *(1,) * (y.ndim - 2))
        return
    along = (-1, *(1,) * (y.ndim - 2))
    if finish.scale.size:
        y *= finish.scale.reshape(along)
    if finish.shift.size:
        y += finish.shift.reshape(along)
    if finish.slope != 1:
        y[...] = np.where(y <= 0, y * y.dtype.type(finish.slope) if finish.slope else y.dtype.type(0), y)
