"""Switch: the last of several bottoms of one shape; the others are not read, and take zero gradients.

float32 or float64.

Source: the `SwitchLayer` of caffe_rtpose (CMU's OpenPose), whose switch stands at the last bottom.
"""

from __future__ import annotations

from collections.abc import Sequence

from bicerin.errors import ShapeError
from bicerin.layer import Blob, BlobCounts, Layer, at_least


class SwitchLayer(Layer):
    """Bottoms and top have one shape."""

    type = "Switch"
    counts = BlobCounts(bottom=at_least(1), top=1)
    allows_in_place = False

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        for index, blob in enumerate(bottom[1:], start=1):
            if blob.shape != bottom[0].shape:
                raise ShapeError(
                    f"all bottoms must have one shape: bottom[0]: {bottom[0].shape}, bottom[{index}]: {blob.shape}."
                )
        top[0].reshape_like(bottom[0])

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        top[0].data[...] = bottom[-1].data

    def backward(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        *others, last = bottom
        for blob, wanted in zip(others, propagate_down, strict=False):
            if wanted:
                blob.diff.fill(0)
        if propagate_down[-1]:
            last.diff[...] = top[0].diff
