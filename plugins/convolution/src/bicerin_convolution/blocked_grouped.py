"""Convolution in narrow groups of arrays whose channels are in blocks of a vector.

The arrays are flat, as in `blocked_winograd`.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod

import numpy as np

from bicerin.kernels import workers_for
from bicerin_convolution.blocked_grouped_kernels import convolve_groups, pack_groups
from bicerin_convolution.blocked_winograd import lanes_of
from bicerin_convolution.problem import Problem
from bicerin_convolution.workspace import aligned_zeros


def applies_grouped(problem: Problem) -> bool:
    """Whether this algorithm can do it at all.

    Groups must have as many outputs as channels, two or more, and fill a block together with others.
    """
    lanes = lanes_of(problem.dtype)
    _, outputs, channels, _ = problem.grouped_weight_shape
    fits = 1 < channels < lanes and lanes % channels == 0
    return problem.group > 1 and outputs == channels and fits and bool(prod(problem.y_shape))


class BlockedGrouped:
    """y = f(weights * x + shift + addend), with f(v) = v where v > 0, else slope * v.

    Args:
        problem: what is convolved.
    """

    def __init__(self, problem: Problem) -> None:
        (images, _, height, width), (_, outputs, *out_size) = problem.x_shape, problem.y_shape
        geometry, dtype = problem.geometry, problem.dtype
        lanes = lanes_of(dtype)
        self._dtype = dtype
        _, _, channels, taps = problem.grouped_weight_shape
        self._w_shape = (outputs, channels, taps)
        blocks = -(-outputs // lanes)
        self._weights_shape = (blocks * taps * channels * lanes,)
        places = [
            _places(size, out, axis, step)
            for size, out, step, axis in zip(
                (height, width),
                out_size,
                (width * lanes, lanes),
                zip(geometry.kernel, geometry.stride, geometry.pad, geometry.dilation, strict=True),
                strict=True,
            )
        ]
        rows, columns = zip(places, geometry.kernel, strict=True)
        self._x = (height * width * lanes, np.zeros(lanes, dtype), *rows, *columns)
        self._sizes = images, blocks, *out_size
        self._workers = workers_for(prod(problem.y_shape) * channels * taps)
        self._shift = np.zeros(blocks * lanes, dtype)

    def transform(self, w: np.ndarray) -> np.ndarray:
        """The weights, `(M, C / group, kernel...)`, as the product reads them."""
        packed = aligned_zeros(self._weights_shape, self._dtype)
        pack_groups(np.ascontiguousarray(w).reshape(self._w_shape), packed)
        return packed

    def bind(
        self,
        x: np.ndarray,
        packed: np.ndarray,
        y: np.ndarray,
        shift: np.ndarray,
        slope: float = 1.0,
        addend: np.ndarray | None = None,
    ) -> Callable[[], int]:
        """What computes y from these arrays, as often as it is called, and says 0.

        Args:
            packed: of `transform`.
            shift: of each output; empty for zeros.
        """
        padded = self._shift.copy()
        padded[: shift.size] = shift
        arguments = (x, *self._x, packed, self._w_shape[1], padded, self._dtype.type(slope))
        more = (y if addend is None else addend, addend is not None, y, self._sizes, self._workers)

        def run() -> int:
            convolve_groups(*arguments, *more)
            return 0

        return run


def _places(size: int, out_size: int, axis: tuple[int, int, int, int], step: int) -> np.ndarray:
    """For each place of y along an axis those of x that the kernel sees, one after the other; -1 is padding.

    Args:
        axis: the kernel, stride, pad and dilation along it.
        step: elements from one place of x to the next.
    """
    kernel, stride, pad, dilation = axis
    seen = np.arange(out_size)[:, None] * stride + np.arange(kernel) * dilation - pad
    return np.where((seen >= 0) & (seen < size), seen * step, -1).ravel()
