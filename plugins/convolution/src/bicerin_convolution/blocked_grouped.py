"""Convolution in narrow groups of arrays whose channels are in blocks of a vector."""

from __future__ import annotations

from math import prod

import numpy as np

from bicerin.kernels import workers_for
from bicerin_convolution.blocked_forward import BlockedForward, Finishing, in_whole_blocks, lanes_of
from bicerin_convolution.blocked_grouped_kernels import convolve_groups, pack_groups
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


class BlockedGrouped(BlockedForward):
    """By a multiply-add for each tap and channel of a group, of all outputs of a block at once.

    Args:
        problem: what is convolved.
    """

    def __init__(self, problem: Problem) -> None:
        (images, _, height, width), (_, outputs, *out_size) = problem.x_shape, problem.y_shape
        geometry, dtype = problem.geometry, problem.dtype
        super().__init__(in_whole_blocks(outputs, dtype), dtype)
        lanes = lanes_of(dtype)
        _, _, channels, taps = problem.grouped_weight_shape
        self._w_shape = (outputs, channels, taps)
        blocks = self._outputs // lanes
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

    def transform(self, w: np.ndarray, keep: bool = True) -> np.ndarray:
        packed = aligned_zeros(self._weights_shape, self._dtype)
        pack_groups(np.ascontiguousarray(w).reshape(self._w_shape), packed)
        return packed

    def compute(self, x: np.ndarray, packed: np.ndarray, finishing: Finishing, y: np.ndarray) -> None:
        channels = self._w_shape[1]
        convolve_groups(x, *self._x, packed, channels, *finishing, y, self._sizes, self._workers)


def _places(size: int, out_size: int, axis: tuple[int, int, int, int], step: int) -> np.ndarray:
    """For each place of y along an axis those of x that the kernel sees, one after the other; -1 is padding.

    Args:
        axis: the kernel, stride, pad and dilation along it.
        step: elements from one place of x to the next.
    """
    kernel, stride, pad, dilation = axis
    seen = np.arange(out_size)[:, None] * stride + np.arange(kernel) * dilation - pad
    return np.where((seen >= 0) & (seen < size), seen * step, -1).ravel()
