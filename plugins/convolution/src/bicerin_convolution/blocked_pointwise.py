"""Convolution with 1x1 kernels of arrays whose channels are in blocks of a vector: a product of matrices."""

from __future__ import annotations

from math import prod

import numpy as np

from bicerin.kernels import workers_for
from bicerin.kernels.panel import ROWS, VECTORS
from bicerin_convolution.blocked_forward import BlockedForward, Finishing, in_whole_blocks, lanes_of
from bicerin_convolution.blocked_pointwise_kernels import convolve_pixels, pack_pointwise
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


class BlockedPointwise(BlockedForward):
    """By a product whose tiles stay in registers.

    Args:
        problem: what is convolved.
    """

    def __init__(self, problem: Problem) -> None:
        (images, channels, *size), (_, outputs, *out_size) = problem.x_shape, problem.y_shape
        dtype = problem.dtype
        super().__init__(in_whole_blocks(outputs, dtype), dtype)
        lanes = lanes_of(dtype)
        self._w_shape = (outputs, channels)
        self._depth = in_whole_blocks(channels, dtype)
        self._blocks = self._depth // lanes, self._outputs // lanes
        places = np.arange(prod(size)).reshape(size)[tuple(slice(None, None, step) for step in problem.geometry.stride)]
        self._x = images, prod(size) * lanes, places.ravel() * lanes
        panels = -(-self._blocks[1] // VECTORS)
        self._weights_shape = (panels * self._depth * VECTORS * lanes,)
        pixels = prod(out_size)
        workers = workers_for(images * pixels * outputs * channels)
        large = prod(self._weights_shape) * dtype.itemsize > 2 * SECOND
        fits = (SECOND if large else FIRST) // (self._depth * dtype.itemsize)
        portion = images * pixels * panels // (PORTIONS * workers)
        self._scope = max(ROWS, min(fits, portion, pixels) // ROWS * ROWS), workers

    def transform(self, w: np.ndarray, keep: bool = True) -> np.ndarray:
        packed = aligned_zeros(self._weights_shape, self._dtype)
        pack_pointwise(np.ascontiguousarray(w).reshape(self._w_shape), self._depth, packed)
        return packed

    def compute(self, x: np.ndarray, packed: np.ndarray, finishing: Finishing, y: np.ndarray) -> None:
        convolve_pixels(x, *self._x, packed, *self._blocks, *finishing, y, *self._scope)
