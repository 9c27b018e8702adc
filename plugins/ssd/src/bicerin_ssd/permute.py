"""Permute: another order of the axes.

Axis i of the top is axis `order[i]` of the bottom; axes that `order` leaves out follow in their own order.

Source: the PermuteLayer of SSD's Caffe.
"""

from __future__ import annotations

from collections.abc import Sequence

from bicerin.errors import LayerError, ShapeError
from bicerin.layer import Blob, BlobCounts, Layer


class PermuteLayer(Layer):
    """Bottom: any shape. Top: the same axes, reordered."""

    type = "Permute"
    counts = BlobCounts(bottom=1, top=1)
    allows_in_place = False

    def layer_set_up(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        self.given: list[int] = list(self.param.permute_param.order)
        if len(set(self.given)) != len(self.given):
            raise LayerError(f"there are duplicate orders: {self.given}.")

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        axes = bottom[0].num_axes
        if any(axis >= axes for axis in self.given):
            raise ShapeError(
                f"order should be less than the input dimension: {self.given} for {axes} axes.",
                f"Axes are numbered 0 to {axes - 1}.",
            )
        self.order = (*self.given, *(axis for axis in range(axes) if axis not in self.given))
        #: Where each axis of the bottom is found in the top.
        self.inverse = tuple(sorted(range(axes), key=self.order.__getitem__))
        top[0].reshape(*(bottom[0].shape[axis] for axis in self.order))

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        top[0].data[...] = bottom[0].data.transpose(self.order)

    def backward(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        if propagate_down[0]:
            bottom[0].diff[...] = top[0].diff.transpose(self.inverse)
