"""ContinuationIndicator: the markers of where sequences begin, for LSTM and RNN: every sequence at the first step.

top[t, n] = 0 for t = 0, else 1

Source: the ContinuationIndicatorLayer of warpctc-caffe, which has no bottom, and of jolibrain's Caffe, which has one.
"""

from __future__ import annotations

from collections.abc import Sequence

from bicerin.errors import ShapeError
from bicerin.layer import Blob, BlobCounts, Layer, at_most


class ContinuationIndicatorLayer(Layer):
    """Bottom, optional: any blob; its `axis` says how many sequences there are, N, otherwise `batch_size` does. Top:
    `(time_step, N)`.
    """

    type = "ContinuationIndicator"
    counts = BlobCounts(bottom=at_most(1), top=1)
    allows_in_place = False

    def layer_set_up(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        param = self.param.continuation_indicator_param
        self.steps: int = param.time_step
        if self.steps < 1:
            raise ShapeError("time_step must be > 0", "continuation_indicator_param gives the number of time steps.")
        if not bottom and not param.batch_size:
            raise ShapeError("there is neither a bottom nor a batch_size: how many sequences are there?")

    def allow_force_backward(self, bottom_index: int) -> bool:
        return False

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        param = self.param.continuation_indicator_param
        number: int = bottom[0].shape[bottom[0].canonical_axis(param.axis)] if bottom else param.batch_size
        if bottom and param.batch_size not in (0, number):
            raise ShapeError(f"batch_size is {param.batch_size}, but the bottom has {number} along axis {param.axis}.")
        top[0].reshape(self.steps, number)

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        markers = top[0].data
        markers.fill(1)
        markers[:1] = 0

    def backward(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        for blob, wanted in zip(bottom, propagate_down, strict=True):
            if wanted:
                blob.diff.fill(0)
