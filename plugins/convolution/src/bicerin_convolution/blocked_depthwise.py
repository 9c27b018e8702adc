"""Depthwise convolution with 3x3 kernels of arrays whose channels are in blocks of a vector."""

from __future__ import annotations

from math import prod

import numpy as np

from bicerin.kernels import workers_for
from bicerin_convolution.blocked_depthwise_kernels import MANY, STRIDES, convolve_depthwise
from bicerin_convolution.blocked_forward import BlockedForward, Finishing, in_whole_blocks, lanes_of
from bicerin_convolution.blocked_grouped_kernels import pack_groups
from bicerin_convolution.problem import Problem
from bicerin_convolution.workspace import aligned_zeros

#: Bands of rows for each thread.
BANDS = 1


def applies_depthwise(problem: Problem) -> bool:
    """Whether this algorithm can do it at all: 3x3, and each channel has one output."""
    geometry, (_, outputs, channels, _) = problem.geometry, problem.grouped_weight_shape
    depthwise = problem.group > 1 and outputs == channels == 1
    padded = max(geometry.pad) <= 1 and min(problem.x_shape[2:]) >= 2
    simple = tuple(geometry.kernel) == (3, 3) and tuple(geometry.dilation) == (1, 1)
    return depthwise and simple and padded and geometry.stride[1] in STRIDES and bool(prod(problem.y_shape))


class BlockedDepthwise(BlockedForward):
    """By a multiply-add of vectors for each tap.

    Args:
        problem: what is convolved.
    """

    def __init__(self, problem: Problem) -> None:
        (images, _, *size), (_, outputs, *out_size) = problem.x_shape, problem.y_shape
        geometry, dtype = problem.geometry, problem.dtype
        super().__init__(in_whole_blocks(outputs, dtype), dtype)
        self._w_shape = (outputs, 1, geometry.size)
        self._weights_shape = (self._outputs * geometry.size,)
        lanes = lanes_of(dtype)
        zeros = aligned_zeros(((MANY * max(STRIDES) + 2) * lanes,), dtype)
        self._x = tuple(size), tuple(geometry.stride), tuple(geometry.pad), zeros
        workers = workers_for(prod(problem.y_shape) * geometry.size)
        self._scope = (self._outputs // lanes, *out_size), images, min(out_size[0], BANDS * workers), workers

    def transform(self, w: np.ndarray, keep: bool = True) -> np.ndarray:
        packed = aligned_zeros(self._weights_shape, self._dtype)
        pack_groups(np.ascontiguousarray(w).reshape(self._w_shape), packed)
        return packed

    def compute(self, x: np.ndarray, packed: np.ndarray, finishing: Finishing, y: np.ndarray) -> None:
        convolve_depthwise(x, *self._x, packed, *finishing, y, *self._scope)
