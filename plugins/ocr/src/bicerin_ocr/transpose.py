"""Transpose: another order of the axes.

Axis i of the top is axis `dim[i]` of the bottom.

Source: the TransposeLayer of CTPN's Caffe.
"""

from __future__ import annotations

from collections.abc import Sequence

from bicerin.errors import ShapeError
from bicerin.layer import Blob, BlobCounts, Layer


class TransposeLayer(Layer):
    """Bottom: any shape. Top: the same axes, reordered."""

    type = "Transpose"
    counts = BlobCounts(bottom=1, top=1)
    allows_in_place = False

    def layer_set_up(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        self.order: list[int] = list(self.param.transpose_param.dim)

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        axes = bottom[0].num_axes
        if sorted(self.order) != list(range(axes)):
            raise ShapeError(
                f"transpose_param has dim {self.order}, but the bottom has the shape {bottom[0].shape}.",
                f"Name each of its {axes} axes once: 0 to {axes - 1}." if axes else "It has no axes.",
            )
        #: Where each axis of the bottom is found in the top.
        self.inverse = sorted(range(axes), key=self.order.__getitem__)
        top[0].reshape(*(bottom[0].shape[axis] for axis in self.order))

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        top[0].data[...] = bottom[0].data.transpose(self.order)

    def backward(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        if propagate_down[0]:
            bottom[0].diff[...] = top[0].diff.transpose(self.inverse)
