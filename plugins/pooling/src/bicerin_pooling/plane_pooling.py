"""Pooling of `(N, C, H, W)` by one window: the arithmetic that Pooling does once, and SPP once per level."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np

from bicerin.device import RandomStream
from bicerin.layer import Layer, Operations, Phase
from bicerin_pooling.average_pooling_kernels import extents
from bicerin_pooling.window import Window

METHODS = ("MAX", "AVE", "STOCHASTIC")
OPERATIONS = Operations(
    "max_pooling_kernels", "average_pooling_kernels", "stochastic_pooling_kernels", cuda="pooling.cu"
)


class PlanePooling(ABC):
    """One method over one window, with the buffers that its backward pass needs, on the side that the layer runs on.

    Args:
        layer: whose operations are to be used, those of `OPERATIONS`.
        window: where to pool.
        shape: of the bottom, `(N, C, H, W)`.
        ceil: whether the last window may reach over the edge.

    Attributes:
        shape: of the top, `(N, C, pooled_h, pooled_w)`.
        planes, pooled: the two shapes as those of planes, `(N * C, H, W)` and `(N * C, pooled_h, pooled_w)`.

    Raises:
        ShapeError: the window does not fit the shape.
    """

    def __init__(self, layer: Layer, window: Window, shape: tuple[int, ...], ceil: bool = True) -> None:
        self.ops = layer.ops
        self.xp = layer.xp
        self.shape = (*shape[:2], *window.pooled_shape(shape[2], shape[3], ceil))
        self.window = window.within(shape[2], shape[3])
        self.planes = (shape[0] * shape[1], *shape[2:])
        self.pooled = (shape[0] * shape[1], *self.shape[2:])

    @abstractmethod
    def forward(self, bottom: Any, top: Any) -> None:
        """Write top."""

    @abstractmethod
    def backward(self, bottom: Any, bottom_diff: Any, top: Any, top_diff: Any) -> None:
        """Write bottom_diff."""


class AveragePooling(PlanePooling):
    """The sum of each window over its area."""

    def forward(self, bottom: Any, top: Any) -> None:
        self.ops.average_pool(bottom.reshape(self.planes), top.reshape(self.pooled), *self.window)

    def backward(self, bottom: Any, bottom_diff: Any, top: Any, top_diff: Any) -> None:
        self.ops.average_pool_backward(bottom_diff.reshape(self.planes), top_diff.reshape(self.pooled), *self.window)


class AverageWithoutPadding(AveragePooling):
    """The sum of each window over what it covers of the plane."""

    def __init__(self, layer: Layer, window: Window, shape: tuple[int, ...], ceil: bool = True) -> None:
        super().__init__(layer, window, shape, ceil)
        sides = []
        for axis in range(2):
            number, size = self.shape[2 + axis], shape[2 + axis]
            kernel, stride, pad = (self.window[axis + 2 * part] for part in range(3))
            start = np.arange(number) * stride - pad
            covered = np.minimum(start + kernel, size) - np.maximum(start, 0)
            sides.append(extents(number, size, kernel, stride, pad) / covered)
        #: The area with padding over that without, of each window.
        self.ratio = self.xp.asarray(np.outer(*sides).astype(layer.dtype))
        self.scaled_diff = layer.new_blob(self.pooled, "scaled_diff")

    def forward(self, bottom: Any, top: Any) -> None:
        super().forward(bottom, top)
        top *= self.ratio

    def backward(self, bottom: Any, bottom_diff: Any, top: Any, top_diff: Any) -> None:
        scaled = self.scaled_diff.data
        self.xp.multiply(top_diff.reshape(self.pooled), self.ratio, out=scaled)
        super().backward(bottom, bottom_diff, top, scaled)


class MaxPooling(PlanePooling):
    """The greatest value of each window.

    Args:
        keeps_mask: whether a forward pass writes `mask`. Without, `backward` finds the places itself.

    Attributes:
        mask: a blob of int32 in the shape `pooled`: the place `h * W + w` of each window's choice in its plane, or -1.
    """

    def __init__(
        self, layer: Layer, window: Window, shape: tuple[int, ...], ceil: bool = True, *, keeps_mask: bool
    ) -> None:
        super().__init__(layer, window, shape, ceil)
        self.keeps_mask = keeps_mask
        self.mask = layer.new_blob(self.pooled, "mask", np.int32)
        self._no_mask = layer.new_blob((0, 0, 0), "no mask", np.int32)

    def forward(self, bottom: Any, top: Any) -> None:
        mask = self.mask if self.keeps_mask else self._no_mask
        self.ops.max_pool(bottom.reshape(self.planes), top.reshape(self.pooled), mask.data, *self.window)

    def backward(self, bottom: Any, bottom_diff: Any, top: Any, top_diff: Any) -> None:
        diff, mask = top_diff.reshape(self.pooled), self.mask.data
        if not self.keeps_mask:
            self.ops.max_pool(bottom.reshape(self.planes), self.xp.empty_like(diff), mask, *self.window)
        self.ops.scatter(bottom_diff.reshape(self.planes), diff, mask, *self.window)


class SampledPooling(PlanePooling):
    """A pixel of each window, drawn with a probability proportional to its value."""

    def __init__(self, layer: Layer, window: Window, shape: tuple[int, ...], ceil: bool = True) -> None:
        super().__init__(layer, window, shape, ceil)
        self.context = layer.context
        self.draws = layer.new_blob(self.pooled, "draws")
        self.mask = layer.new_blob(self.pooled, "mask", np.int32)

    def forward(self, bottom: Any, top: Any) -> None:
        # A random share of each window's sum, in (0, 1]: 0 would choose a first pixel that is 0.
        draws = self.draws.data
        RandomStream(self.context.random, self.context.device, self.context.dtype).random(out=draws)
        self.xp.subtract(1, draws, out=draws)
        x, y = bottom.reshape(self.planes), top.reshape(self.pooled)
        self.ops.sampled_pool(x, y, self.mask.data, draws, *self.window[:4])

    def backward(self, bottom: Any, bottom_diff: Any, top: Any, top_diff: Any) -> None:
        diff = top_diff.reshape(self.pooled)
        self.ops.scatter(bottom_diff.reshape(self.planes), diff, self.mask.data, *self.window)


class WeightedPooling(PlanePooling):
    """The mean of each window under the probabilities of `SampledPooling`."""

    def __init__(self, layer: Layer, window: Window, shape: tuple[int, ...], ceil: bool = True) -> None:
        super().__init__(layer, window, shape, ceil)
        self.sums = layer.new_blob(self.pooled, "sums")

    def forward(self, bottom: Any, top: Any) -> None:
        x, y = bottom.reshape(self.planes), top.reshape(self.pooled)
        self.ops.weighted_pool(x, y, self.sums.data, *self.window[:4])

    def backward(self, bottom: Any, bottom_diff: Any, top: Any, top_diff: Any) -> None:
        x, x_diff = bottom.reshape(self.planes), bottom_diff.reshape(self.planes)
        y, y_diff = top.reshape(self.pooled), top_diff.reshape(self.pooled)
        self.ops.weighted_pool_backward(x, x_diff, y, y_diff, self.sums.data, *self.window[:4])


def plane_pooling(
    method: str, layer: Layer, window: Window, shape: tuple[int, ...], ceil: bool = True, keeps_mask: bool = False
) -> PlanePooling:
    """Pooling by one of `METHODS` in the layer's phase.

    Args:
        keeps_mask: whether the mask of MAX is wanted after a forward pass; in TRAIN it is always kept.
    """
    training = layer.phase is Phase.TRAIN
    if method == "MAX":
        # At TEST the gradient is the exception.
        return MaxPooling(layer, window, shape, ceil, keeps_mask=keeps_mask or training)
    if method == "AVE":
        return AveragePooling(layer, window, shape, ceil)
    return (SampledPooling if training else WeightedPooling)(layer, window, shape, ceil)
