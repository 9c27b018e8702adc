"""Reverse: one axis from its end to its start, time for example.

Source: the ReverseLayer of CTPN's Caffe.
"""

from __future__ import annotations

from collections.abc import Sequence

from bicerin.errors import ShapeError
from bicerin.layer import Blob, BlobCounts, Layer


class ReverseLayer(Layer):
    """Bottom: any shape. Top: the same, with `axis` the other way round."""

    type = "Reverse"
    counts = BlobCounts(bottom=1, top=1)
    allows_in_place = False

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        self.axis: int = self.param.reverse_param.axis
        axes = bottom[0].num_axes
        if not 0 <= self.axis < axes:
            raise ShapeError(
                f"axis is {self.axis}, but the bottom has the shape {bottom[0].shape}.",
                f"Axes are numbered 0 to {axes - 1}." if axes else "It has no axes.",
            )
        self.backwards = (*[slice(None)] * self.axis, slice(None, None, -1))
        top[0].reshape_like(bottom[0])

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        top[0].data[...] = bottom[0].data[self.backwards]

    def backward(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        if propagate_down[0]:
            bottom[0].diff[...] = top[0].diff[self.backwards]
