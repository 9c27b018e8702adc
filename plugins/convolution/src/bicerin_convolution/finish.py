"""What becomes of each sum of a convolution on its way to the output: f(scale * sum + shift).

A scale, a shift and a slope stand for each channel; f(v) = v where v > 0, else slope * v. A bias alone is a shift.
"""

from __future__ import annotations

import numpy as np

from bicerin.kernels import Finish, part


class FinishTable:
    """Scales, shifts and slopes, `(3, channels)`, of which only those are written that change."""

    def __init__(self, channels: int, dtype: np.dtype) -> None:
        self._table = np.zeros((3, channels), dtype)
        self._table[0] = self._table[2] = 1
        self._shift_only = True

    def of(self, finish: np.ndarray | Finish | None) -> np.ndarray:
        """The table of a finish; of a bias `(channels,)`, or nothing, too. Valid until the next call."""
        table = self._table
        if isinstance(finish, Finish):
            table[0] = finish.scale if finish.scale.size else 1
            table[1] = finish.shift if finish.shift.size else 0
            table[2] = finish.slope
            self._shift_only = False
            return table
        if not self._shift_only:
            table[0] = table[2] = 1
            self._shift_only = True
        table[1] = 0 if finish is None else finish
        return table


@part
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
