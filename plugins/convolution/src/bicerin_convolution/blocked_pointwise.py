"""Convolution with 1x1 kernels of arrays whose channels are in blocks of a vector: a product of matrices.

The arrays are flat, as in `blocked_winograd`.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod

import numpy as np

from bicerin.kernels import workers_for
from bicerin.kernels.panel import ROWS, VECTORS
from bicerin_convolution.blocked_pointwise_kernels import convolve_pixels, pack_pointwise
from bicerin_convolution.blocked_winograd import lanes_of
from bicerin_convolution.problem import Problem
from bicerin_convolution.workspace import aligned_zeros

#: Bytes of x that a thread reads for each panel of outputs: they stay in its first cache, or, where the weights do not
#: stay in its second, there, so that weights are not fetched too often.
FIRST, SECOND = 1 << 15, 1 << 17
#: How many portions of the work there are for each thread at least.
PORTIONS = 4


def applies_pointwise(problem: Problem) -> bool:
    """Whether this algorithm can do it at all."""
    geometry = problem.geometry
    return geometry.size == 1 and problem.group == 1 and not any(geometry.pad) and bool(prod(problem.y_shape))


class BlockedPointwise:
    """y = f(weights * x + shift + addend), with f(v) = v where v > 0, else slope * v.

    Args:
        problem: what is convolved.
    """

    def __init__(self, problem: Problem) -> None:
        (images, channels, *size), (_, outputs, *out_size) = problem.x_shape, problem.y_shape
        dtype = problem.dtype
        lanes = lanes_of(dtype)
        self._dtype, self._w_shape = dtype, (outputs, channels)
        blocks, self._y_blocks = -(-channels // lanes), -(-outputs // lanes)
        self._depth = blocks * lanes
        places = np.arange(prod(size)).reshape(size)[tuple(slice(None, None, step) for step in problem.geometry.stride)]
        self._x = images, prod(size) * lanes, places.ravel() * lanes
        self._blocks = blocks
        panels = -(-self._y_blocks // VECTORS)
        self._weights_shape = (panels * self._depth * VECTORS * lanes,)
        pixels = prod(out_size)
        workers = workers_for(images * pixels * outputs * channels)
        large = prod(self._weights_shape) * dtype.itemsize > 2 * SECOND
        fits = (SECOND if large else FIRST) // (self._depth * dtype.itemsize)
        portion = images * pixels * panels // (PORTIONS * workers)
        self._scope = max(ROWS, min(fits, portion, pixels) // ROWS * ROWS), workers
        self._shift = np.zeros(self._y_blocks * lanes, dtype)

    def transform(self, w: np.ndarray) -> np.ndarray:
        """The weights, `(M, C, 1, 1)`, as the product reads them."""
        packed = aligned_zeros(self._weights_shape, self._dtype)
        pack_pointwise(np.ascontiguousarray(w).reshape(self._w_shape), self._depth, packed)
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
        arguments = (x, *self._x, packed, self._blocks, self._y_blocks, padded, self._dtype.type(slope))
        more = (y if addend is None else addend, addend is not None, y, *self._scope)

        def run() -> int:
            convolve_pixels(*arguments, *more)
            return 0

        return run
