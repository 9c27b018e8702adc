"""GlobalSumPooling: the sum over the first axis: over the regions of an image, in detectors that learn from its labels.

- bottom: shape (R, ...), at least 2 axes.
- top: shape (1, ...).

Source: the `GlobalSumPoolingLayer` of OICR's Caffe (Tang et al., "Multiple instance detection network with online
instance classifier refinement", 2017).
"""

from __future__ import annotations

from collections.abc import Sequence

from bicerin.errors import ShapeError
from bicerin.layer import Blob, BlobCounts, Layer


class GlobalSumPoolingLayer(Layer):
    """The gradient of each region is the top's."""

    type = "GlobalSumPooling"
    counts = BlobCounts(bottom=1, top=1)
    allows_in_place = False

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        if bottom[0].num_axes < 2:
            raise ShapeError(f"Number of axes of bottom blob must be >=2: it has {bottom[0].num_axes}.")
        top[0].reshape(1, *bottom[0].shape[1:])

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        bottom[0].data.sum(axis=0, out=top[0].data[0])

    def backward(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        if propagate_down[0]:
            bottom[0].diff[...] = top[0].diff
