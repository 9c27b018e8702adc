"""Parameter: a learnable blob as a top.

The blob has `parameter_param.shape` and starts as zeros, or as the weights say. The top shares its data, so that the
solver's update is seen at once; the top's gradient is added to the blob's, so that `iter_size` and several passes
accumulate, as for any other weight. float32 or float64.

Source: Caffe's `ParameterLayer`, which shares the gradient too and so keeps only that of the last pass.
"""

from __future__ import annotations

from collections.abc import Sequence

from bicerin.layer import Blob, BlobCounts, Layer


class ParameterLayer(Layer):
    """No bottom, one top of the parameter's shape."""

    type = "Parameter"
    counts = BlobCounts(bottom=0, top=1)

    def layer_set_up(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        self.declare_blobs((tuple(self.param.parameter_param.shape.dim), None))

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        top[0].reshape_like(self.blobs[0])

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        # Not in reshape, so that whoever writes to the top before the first pass does not write to the parameter.
        top[0].share_data(self.blobs[0])

    def backward(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        if self.param_propagate_down(0):
            total = self.blobs[0].diff
            self.xp.add(total, top[0].diff, out=total)
