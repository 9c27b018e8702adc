"""PReLU: y = max(x, 0) + a_c · min(x, 0), with a learned slope a_c for each channel, or one for all of them.

- bottom, top: shape (N, C, ...), at least 2 axes; it works in place, at the price of a copy of the bottom.
- blob 0: the slopes, shape (C,), or () with `channel_shared`; `filler` is by default the constant 0.25.

Source: He et al., "Delving deep into rectifiers", 2015; Caffe's `PReLULayer`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bicerin.errors import ShapeError
from bicerin.layer import Blob, NeuronLayer, Operations, Spares, TopValues


class PReLULayer(Spares, NeuronLayer):
    """∂L/∂a_c is the sum of ∂L/∂y · x over the elements of channel c with x ≤ 0."""

    type = "PReLU"
    operations = Operations("prelu_kernels")
    keeps_bottom = True

    def layer_set_up(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        param = self.param.prelu_param
        self._require_channels(bottom[0])
        self.channels = bottom[0].shape[1]
        if param.HasField("filler"):
            filler = param.filler
        else:
            filler = type(param.filler)(type="constant", value=0.25)
        self.shared: bool = param.channel_shared
        self.declare_blobs((() if self.shared else (self.channels,), filler))
        #: The gradient of each channel's slope in one pass.
        self.sums = self.new_blob((self.channels,), "sums")

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        self._require_channels(bottom[0])
        if bottom[0].shape[1] != self.channels:
            raise ShapeError(f"the bottom has {bottom[0].shape[1]} channels, but the layer {self.channels} slopes.")
        super().reshape(bottom, top)
        number, inner = bottom[0].shape[0], bottom[0].count_between(2)
        self.rows = (number, self.channels, inner)
        #: With as many channels as there are slopes.
        self.slope_rows = (number * self.channels, 1, inner) if self.shared else self.rows

    @staticmethod
    def _require_channels(bottom: Blob) -> None:
        if bottom.num_axes < 2:
            raise ShapeError(f"Number of axes of bottom blob must be >=2: it has {bottom.num_axes}.")

    def spares(self) -> TopValues:
        return TopValues.SIGNS  # as long as no slope is learned to be negative

    def activate(self, x: Any, y: Any) -> None:
        self.ops.forward(x.reshape(self.slope_rows), self.blobs[0].data.reshape(-1), y.reshape(self.slope_rows))

    def backward(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        # First, since in place the bottom's gradient overwrites the top's.
        if self.param_propagate_down(0):
            sums = self.sums.data
            self.ops.slope_sums(self.input(bottom).reshape(self.rows), top[0].diff.reshape(self.rows), sums)
            self.blobs[0].diff[...] += sums.sum() if self.shared else sums
        super().backward(top, propagate_down, bottom)

    def gradient(self, x: Any, y: Any, y_diff: Any, x_diff: Any) -> None:
        x, y_diff, x_diff = (array.reshape(self.slope_rows) for array in (x, y_diff, x_diff))
        self.ops.backward(x, self.blobs[0].data.reshape(-1), y_diff, x_diff)
