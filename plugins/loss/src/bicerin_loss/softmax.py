"""Softmax: y = exp(x) / Σ exp(x), the sum over the classes along `axis`.

Bottom and top have one shape, any; with `axis` = 1 it is (N, C, H, W) with C classes. The largest x of each sum is
subtracted first, so that exp cannot overflow. It works in place. `engine` is accepted and changes nothing.

Source: Caffe's `SoftmaxLayer`.
"""

from __future__ import annotations

from collections.abc import Sequence

from bicerin.layer import Blob, BlobCounts, Layer, Operations, ReadsTops, TopValues, around


class SoftmaxLayer(ReadsTops, Layer):
    """With g = ∂L/∂y, the gradient is ∂L/∂x = y · (g - Σ g · y)."""

    type = "Softmax"
    counts = BlobCounts(bottom=1, top=1)
    operations = Operations("softmax_kernels")

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        self.columns = around(bottom[0], bottom[0].canonical_axis(self.param.softmax_param.axis))
        top[0].reshape_like(bottom[0])

    def reads_in_tops(self) -> TopValues:
        return TopValues.ALL

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        self.ops.softmax(bottom[0].data.reshape(self.columns), top[0].data.reshape(self.columns))

    def backward(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        if propagate_down[0]:
            y, y_diff = top[0].data.reshape(self.columns), top[0].diff.reshape(self.columns)
            self.ops.softmax_backward(y, y_diff, bottom[0].diff.reshape(self.columns))
