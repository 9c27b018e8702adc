"""Affine: what a simple layer does, in a form that the layer before it can do in its own forward pass.

A convolution writes each output once; a rectifier after it reads and writes all of them again. So a layer whose forward
pass is y = f(scale * x + shift), with a scale and a shift for each channel and f(v) = v where v > 0, else
negative_slope * v, says so, and one that writes its top channel by channel can do it on the way: `Finish`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np


@dataclass(frozen=True)
class Affine:
    """y = f(scale * x + shift).

    Attributes:
        axis: of the channels; None where there is neither scale nor shift.
        scale, shift: `(C,)`, or None for 1 and 0; the values at this moment.
        negative_slope: of f; 1 where there is no f.
    """

    axis: int | None = None
    scale: np.ndarray | None = None
    shift: np.ndarray | None = None
    negative_slope: float = 1.0


class Finish(NamedTuple):
    """What becomes of each sum of a channel: f(scale * sum + shift). An empty array is a scale of 1, a shift of 0."""

    scale: np.ndarray
    shift: np.ndarray
    slope: float

    @classmethod
    def of(cls, bias: np.ndarray | None, steps: Iterable[Affine], dtype: np.dtype) -> Finish:
        """A bias, or none, and then what other layers do, in their order; only the last may have a slope."""
        none = np.empty(0, dtype)
        scale, shift, slope = none, none if bias is None else bias.reshape(-1), 1.0
        for step in steps:
            if step.scale is not None:
                scale = scale * step.scale if scale.size else step.scale
                shift = shift * step.scale if shift.size else shift
            if step.shift is not None:
                shift = shift + step.shift if shift.size else step.shift
            slope = step.negative_slope
        return cls(scale, shift, slope)
