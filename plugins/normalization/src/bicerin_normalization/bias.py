"""Bias: add a blob along some axes of another.

top = bottom[0] + bias, the bias repeated over the axes that it lacks.

The bias, of the shape of `num_axes` axes of bottom[0] from `axis` on, is bottom[1], or learned where there is one
bottom.

Source: Caffe's BiasLayer.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bicerin.kernels import Affine
from bicerin.layer import Blob, BlobCounts, Layer, LearnsAffinely, Operations, between
from bicerin_normalization.alignment import align, operand_shape


class BiasLayer(LearnsAffinely, Layer):
    """In place is allowed."""

    type = "Bias"
    counts = BlobCounts(bottom=between(1, 2), top=1)
    operations = Operations("bias_kernels")

    def layer_set_up(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        param = self.param.bias_param
        #: The axis that the first axis of the bias lies along.
        self.channel = bottom[0].canonical_axis(param.axis)
        if len(bottom) == 1:
            self.declare_blobs((operand_shape("bias", bottom[0], param.axis, param.num_axes), param.filler))
            self.blobs[0].keep_versions()

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        bias = (bottom[1] if len(bottom) > 1 else self.blobs[0]).shape
        self.aligned = align("bias", bottom[0], bias, self.param.bias_param.axis)
        top[0].reshape(*bottom[0].shape)

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        bias = bottom[1] if len(bottom) > 1 else self.blobs[0]
        x, y = bottom[0].data.reshape(self.aligned), top[0].data.reshape(self.aligned)
        self.ops.add(x, bias.data.reshape(-1), y)

    def affine(self) -> Affine | None:
        if not self.blobs or self.blobs[0].num_axes != 1:
            return None
        return Affine(self.channel, shift=self.blobs[0].read_only.data)

    def add_affine_gradients(self, scale: Any, shift: Any) -> None:
        if self.param_propagate_down(0):
            self.blobs[0].diff[...] += shift

    def backward(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        learned = len(bottom) == 1
        if self.param_propagate_down(0) if learned else propagate_down[1]:
            bias = self.blobs[0] if learned else bottom[1]
            diff = top[0].diff.reshape(self.aligned).sum(axis=(0, 2)).reshape(bias.shape)
            if learned:
                bias.diff[...] += diff
            else:
                bias.diff[...] = diff
        if propagate_down[0] and bottom[0] is not top[0]:
            bottom[0].diff[...] = top[0].diff
