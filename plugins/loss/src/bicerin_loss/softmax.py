"""Softmax: y = exp(x / T) / Σ exp(x / T), the sum over the classes along `axis`; T is `scaling_temperature`, mostly 1.

Bottom and top have one shape, any; with `axis` = 1 it is (N, C, H, W) with C classes. The largest x of each sum is
subtracted first, so that exp cannot overflow. It works in place. `engine` is accepted and changes nothing.

Source: Caffe's `SoftmaxLayer`; jolibrain's for the temperature.
"""

from __future__ import annotations

from collections.abc import Sequence

from bicerin.errors import LayerError
from bicerin.layer import Blob, BlobCounts, Layer, Operations, ReadsTops, TopValues, around


class SoftmaxLayer(ReadsTops, Layer):
    """With g = ∂L/∂y, the gradient is ∂L/∂x = y · (g - Σ g · y) / T."""

    type = "Softmax"
    counts = BlobCounts(bottom=1, top=1)
    operations = Operations("softmax_kernels")

    def layer_set_up(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        self.temperature: float = self.param.softmax_param.scaling_temperature
        if not self.temperature > 0:
            raise LayerError(f"scaling_temperature must be positive, not {self.temperature:g}.")

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        self.columns = around(bottom[0], bottom[0].canonical_axis(self.param.softmax_param.axis))
        top[0].reshape_like(bottom[0])

    def reads_in_tops(self) -> TopValues:
        return TopValues.ALL

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        x, y = bottom[0].data.reshape(self.columns), top[0].data.reshape(self.columns)
        if self.temperature != 1:
            x = self.xp.multiply(x, 1 / self.temperature, out=y)
        self.ops.softmax(x, y)

    def backward(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        if propagate_down[0]:
            y, y_diff = top[0].data.reshape(self.columns), top[0].diff.reshape(self.columns)
            x_diff = bottom[0].diff.reshape(self.columns)
            self.ops.softmax_backward(y, y_diff, x_diff)
            if self.temperature != 1:
                x_diff *= 1 / self.temperature
