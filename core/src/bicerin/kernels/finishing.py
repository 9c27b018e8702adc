"""Finishing: what becomes of each sum of a channel before it is written, f(scale * sum + shift).

f(v) = v where v > 0, else slope * v; NaN stays NaN, and a slope of 0 gives 0 even for minus infinity. What a finish is
made of is in `bicerin.kernels.affine`. It is done in three forms: on whole arrays, on a number in a kernel, and, in
`panel.copy_line`, on vectors.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from bicerin.kernels.affine import Finish
from bicerin.kernels.compiled import part


def finish_array(xp: Any, y: Any, scale: Any, shift: Any, slope: float) -> None:
    """Finish a whole array `(N, channels, ...)` in place; scale and shift are `(channels,)`, or empty for 1 and 0."""
    along = (-1, *(1,) * (y.ndim - 2))
    if scale.size:
        xp.multiply(y, scale.reshape(along), out=y)
    if shift.size:
        xp.add(y, shift.reshape(along), out=y)
    if slope != 1:
        y[...] = xp.where(y <= 0, y * y.dtype.type(slope) if slope else y.dtype.type(0), y)


@part
def finished(value: Any, scale: Any, shift: Any, slope: Any) -> Any:
    """One sum, finished; all are numbers of its type."""
    value = value * scale + shift
    if value <= 0:  # NaN stays NaN
        value = value * slope if slope != 0 else slope
    return value


class FinishTable:
    """The scale, shift and slope of each channel, `(3, channels)`, as kernels take them.

    Only those rows are written that change from one finish to the next.
    """

    def __init__(self, channels: int, dtype: np.dtype) -> None:
        self._table = np.zeros((3, channels), dtype)
        self._table[0] = self._table[2] = 1
        self._shift_only = True

    def of(self, finish: Finish) -> np.ndarray:
        """The table of a finish. Valid until the next call."""
        table = self._table
        scale, shift, slope = finish
        if scale.size or slope != 1:
            table[0] = scale if scale.size else 1
            table[2] = slope
            self._shift_only = False
        elif not self._shift_only:
            table[0] = table[2] = 1
            self._shift_only = True
        table[1] = shift if shift.size else 0
        return table
