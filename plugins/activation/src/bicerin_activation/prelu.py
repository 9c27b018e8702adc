"""PReLU: y = max(x, 0) + a_c · min(x, 0), with a learned slope a_c for each channel, or one for all of them.

- bottom, top: shape (N, C, ...), at least 2 axes; it works in place, at the price of a copy of the bottom.
- blob 0: the slopes, shape (C,), or () with `channel_shared`; `filler` is by default the constant 0.25.

Source: He et al., "Delving deep into rectifiers", 2015; Caffe's `PReLULayer`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from bicerin.device import CudaSource
from bicerin.errors import ShapeError
from bicerin.layer import Blob, NeuronLayer
from bicerin_activation import prelu_kernels


class PReLULayer(NeuronLayer):
    """∂L/∂a_c is the sum of ∂L/∂y · x over the elements of channel c with x ≤ 0."""

    type = "PReLU"
    cuda = CudaSource(__file__, "prelu.cu")
    keeps_bottom = True

    def layer_set_up(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        param = self.param.prelu_param
        self._require_channels(bottom[0])
        self.channels = bottom[0].shape[1]
        if param.HasField("filler"):
            filler = param.filler
        else:
            filler = type(param.filler)(type="constant", value=0.25)
        self.declare_blobs((() if param.channel_shared else (self.channels,), filler))

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        self._require_channels(bottom[0])
        if bottom[0].shape[1] != self.channels:
            raise ShapeError(f"the bottom has {bottom[0].shape[1]} channels, but the layer {self.channels} slopes.")
        super().reshape(bottom, top)
        self.rows = (bottom[0].shape[0], self.channels, bottom[0].count_between(2))

    @staticmethod
    def _require_channels(bottom: Blob) -> None:
        if bottom.num_axes < 2:
            raise ShapeError(f"Number of axes of bottom blob must be >=2: it has {bottom.num_axes}.")

    def activate(self, x: Any, y: Any) -> None:
        xp = self.xp
        if xp is np:
            prelu_kernels.forward(x.reshape(self.rows), self._slope(), y.reshape(self.rows))
        else:
            self.kernels.forward(x.size, x, *self._device_slope(xp), y, *self.rows[1:])

    def backward(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        xp = self.xp
        # First, since in place the bottom's gradient overwrites the top's.
        if self.param_propagate_down(0):
            x, y_diff = self.input(bottom), top[0].diff
            slope_diff = self.blobs[0].diff
            if xp is np:
                sums = np.empty(self.rows[:2], self.dtype)
                prelu_kernels.slope_diff(x.reshape(self.rows), y_diff.reshape(self.rows), sums)
                slope_diff += sums.sum(axis=0 if slope_diff.ndim else None)
            else:
                sums = xp.empty(self.channels, self.dtype)
                self.kernels.slope_gradient.blocks(self.channels, x, y_diff, sums, *self.rows)
                slope_diff += sums if slope_diff.ndim else sums.sum()
        super().backward(top, propagate_down, bottom)

    def gradient(self, x: Any, y: Any, y_diff: Any, x_diff: Any) -> None:
        xp = self.xp
        if xp is np:
            x, y_diff, x_diff = (array.reshape(self.rows) for array in (x, y_diff, x_diff))
            prelu_kernels.backward(x, self._slope(), y_diff, x_diff)
        else:
            self.kernels.backward(x.size, x, *self._device_slope(xp), y_diff, x_diff, *self.rows[1:])

    def _slope(self) -> np.ndarray:
        """The slopes, shape (C,), also where one is shared."""
        slope = self.blobs[0].data.reshape(-1)
        return slope if slope.size == self.channels else np.repeat(slope, self.channels)

    def _device_slope(self, xp: Any) -> tuple[Any, bool]:
        """The slopes, and whether there is one for all channels."""
        slope = self.blobs[0].data
        return slope, slope.size != self.channels
