"""Pooling of `(N, C, H, W)` by one window: the arithmetic that Pooling does once and SPP once a level."""

from __future__ import annotations

from typing import Any

import numpy as np

from bicerin.device import CPU, Device, RandomStream
from bicerin.layer import Context, Phase
from bicerin_pooling import average_pooling_kernels, max_pooling_kernels, stochastic_pooling_kernels
from bicerin_pooling.window import Window

METHODS = ("MAX", "AVE", "STOCHASTIC")


class PlanePooling:
    """One method over one window, with the buffers that its backward pass needs.

    Args:
        method: "MAX", "AVE" or "STOCHASTIC".
        context: of the layer; its phase and generator decide what STOCHASTIC does.
        window: where to pool.
        shape: of the bottom, `(N, C, H, W)`.
        ceil: whether the last window may reach over the edge.

    Attributes:
        shape: of the top, `(N, C, pooled_h, pooled_w)`.
        mask: int32 in that shape: the place `h * W + w` of each window's choice in its plane, or -1.

    Raises:
        ShapeError: the window does not fit the shape.
    """

    def __init__(
        self, method: str, context: Context, window: Window, shape: tuple[int, ...], ceil: bool = True
    ) -> None:
        self.method = method
        self.window = window
        self.random = context.random
        self.training = context.phase is Phase.TRAIN
        self.dtype = context.dtype
        self.shape = (*shape[:2], *window.pooled_shape(shape[2], shape[3], ceil))
        self.allocate()

    def allocate(self) -> None:
        """Make the buffers for `shape`."""
        self.mask: Any = np.empty(0, np.int32)
        self.draws = np.empty(0, self.dtype)
        self.sums = np.empty(0, self.dtype)
        if self.method == "STOCHASTIC":
            if self.training:
                self.draws = np.empty(self.shape, self.dtype)
                self.mask = np.empty(self.shape, np.int32)
            else:
                self.sums = np.empty(self.shape, self.dtype)

    def forward(self, bottom: np.ndarray, top: np.ndarray, masked: bool) -> None:
        """Write top; `masked` says whether a maximum's places are wanted, by `backward` or by the caller."""
        x, y = _planes(bottom), _planes(top)
        if self.method == "AVE":
            average_pooling_kernels.average_pool(x, y, *self.window)
        elif self.method == "MAX":
            if masked:
                self._masked_max(x, y)
            else:
                self.mask = np.empty(0, np.int32)
                if self._is_dense:
                    max_pooling_kernels.flat_max_pool(x, y, self.mask.reshape(0, 0, 0), *self.window)
                else:
                    max_pooling_kernels.max_pool(x, y, *self.window)
        elif self.training:
            self.draw(CPU, self.draws)
            stochastic_pooling_kernels.sampled_pool(x, y, _planes(self.mask), _planes(self.draws), *self.window[:4])
        else:
            stochastic_pooling_kernels.weighted_pool(x, y, _planes(self.sums), *self.window[:4])

    def draw(self, device: Device, draws: Any) -> None:
        """Write a random share of each window's sum, in (0, 1]: 0 would choose a first pixel that is 0."""
        RandomStream(self.random, device, self.dtype).random(out=draws)
        device.xp.subtract(1, draws, out=draws)

    def backward(self, bottom: np.ndarray, bottom_diff: np.ndarray, top: np.ndarray, top_diff: np.ndarray) -> None:
        """Write bottom_diff."""
        if self.method == "AVE":
            average_pooling_kernels.average_pool_backward(_planes(bottom_diff), _planes(top_diff), *self.window)
        elif self.method == "STOCHASTIC" and not self.training:
            stochastic_pooling_kernels.weighted_pool_backward(
                _planes(bottom), _planes(bottom_diff), _planes(top), _planes(top_diff), _planes(self.sums),
                *self.window[:4],
            )  # fmt: skip
        else:
            if self.mask.shape != self.shape:
                self._masked_max(_planes(bottom), _planes(np.empty_like(top)))
            max_pooling_kernels.scatter(_planes(bottom_diff), _planes(top_diff), _planes(self.mask))

    def _masked_max(self, x: np.ndarray, y: np.ndarray) -> None:
        if self.mask.shape != self.shape:
            self.mask = np.empty(self.shape, np.int32)
        mask = _planes(self.mask)
        # Measured: vectors of whole rows pay from about 16 windows a row on, of whole planes for shorter rows.
        if self._is_dense or (self.window.stride_w == 2 and 4 < self.shape[3] < 16):
            max_pooling_kernels.flat_max_pool(x, y, mask, *self.window)
        elif self.shape[3] >= 16 and self.window.stride_w <= 2:
            max_pooling_kernels.masked_max_pool(x, y, mask, *self.window)
        else:
            max_pooling_kernels.masked_max_pool_one_by_one(x, y, mask, *self.window)

    @property
    def _is_dense(self) -> bool:
        return self.window.stride_h == self.window.stride_w == 1 < self.shape[3]


def _planes(array: np.ndarray) -> Any:
    """`(N, C, H, W)` as `(N * C, H, W)`."""
    return array.reshape(array.shape[0] * array.shape[1], *array.shape[2:])
