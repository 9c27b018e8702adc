"""Pooling by one window on a device: what `PlanePooling` does on the host."""

from __future__ import annotations

from typing import Any

import numpy as np

from bicerin.layer import Blob, Layer
from bicerin_pooling.plane_pooling import PlanePooling
from bicerin_pooling.window import Window


class DevicePooling(PlanePooling):
    """With the kernels of `pooling.cu`; arrays are the device's. See `PlanePooling`."""

    def __init__(self, method: str, layer: Layer, window: Window, shape: tuple[int, ...], ceil: bool = True) -> None:
        super().__init__(method, layer.context, window, shape, ceil)
        self.kernels = layer.kernels
        self._chosen = Blob(self.shape, np.int32, layer.device, "mask")
        self._sums = Blob(self.shape, layer.dtype, layer.device, "sums")
        self._draws = Blob(self.shape, layer.dtype, layer.device, "draws")
        self._sizes = (*shape[2:], *self.shape[2:], *window)

    def allocate(self) -> None:
        """The buffers are blobs, which take memory when they are touched."""

    def forward(self, bottom: Any, top: Any, masked: bool) -> None:
        self.mask = self._chosen.gpu_data
        if self.method == "AVE":
            self.kernels.average_pool(top.size, bottom, top, *self._sizes)
        elif self.method == "MAX":
            self.kernels.max_pool(top.size, bottom, top, self.mask, *self._sizes)
        elif self.training:
            draws = self._draws.gpu_data
            self.draw(self._draws.device, draws)
            self.kernels.sampled_pool(top.size, bottom, top, self.mask, draws, *self._sizes[:-2])
        else:
            self.kernels.weighted_pool(top.size, bottom, top, self._sums.gpu_data, *self._sizes[:-2])

    def backward(self, bottom: Any, bottom_diff: Any, top: Any, top_diff: Any) -> None:
        count = bottom_diff.size
        if self.method == "AVE":
            self.kernels.average_backward(count, top_diff, bottom_diff, *self._sizes)
        elif self.method == "STOCHASTIC" and not self.training:
            sums = self._sums.const_gpu_data
            self.kernels.weighted_backward(count, bottom, top, top_diff, sums, bottom_diff, *self._sizes[:-2])
        else:
            self.kernels.chosen_backward(count, top_diff, self._chosen.const_gpu_data, bottom_diff, *self._sizes)


def plane_pooling(method: str, layer: Layer, window: Window, shape: tuple[int, ...], ceil: bool = True) -> PlanePooling:
    """Pooling on the layer's device; see `PlanePooling`."""
    if layer.device.is_host:
        return PlanePooling(method, layer.context, window, shape, ceil)
    return DevicePooling(method, layer, window, shape, ceil)
