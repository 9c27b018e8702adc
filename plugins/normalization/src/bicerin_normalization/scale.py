"""Scale: multiply by a blob along some axes of another, and perhaps add a bias.

top = bottom[0] * scale + bias, both repeated over the axes that they lack.

The scale, of the shape of `num_axes` axes of bottom[0] from `axis` on, is bottom[1], or learned where there is one
bottom; it starts as 1 unless a filler is given. With `bias_term` a bias of the same shape is learned. A learned scale
below `min_value` or above `max_value` is set to it, in the blob, before it is used.

Source: Caffe's ScaleLayer; happynear's for the bounds.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bicerin.errors import LayerError
from bicerin.kernels import Affine
from bicerin.layer import Blob, BlobCounts, Layer, LearnsAffinely, Operations, between
from bicerin_normalization.alignment import align, operand_shape


class ScaleLayer(LearnsAffinely, Layer):
    """In place is allowed, at the price of a copy of bottom[0] for the gradient."""

    type = "Scale"
    counts = BlobCounts(bottom=between(1, 2), top=1)
    operations = Operations("scale_kernels")

    def layer_set_up(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        param = self.param.scale_param
        self.learned = len(bottom) == 1
        self.bias_term: bool = param.bias_term
        #: What a learned scale is kept between; None: nothing.
        self.bounds = [getattr(param, name) if param.HasField(name) else None for name in ("min_value", "max_value")]
        self.bounded = self.learned and self.bounds != [None, None]
        least, most = self.bounds
        if least is not None and most is not None and least > most:
            raise LayerError(f"min_value must not be above max_value: {least:g}, {most:g}.")
        filler = type(param.filler)()
        filler.CopyFrom(param.filler)
        if not param.HasField("filler"):
            filler.type, filler.value = "constant", 1
        if self.learned:
            shape = operand_shape("scale", bottom[0], param.axis, param.num_axes)
        else:
            shape = bottom[1].shape
            align("scale", bottom[0], shape, param.axis)
        #: The axis that the first axis of the scale lies along.
        self.channel = bottom[0].canonical_axis(param.axis)
        declared = [(shape, filler)] if self.learned else []
        if self.bias_term:
            declared.append((shape, param.bias_filler))
        self.declare_blobs(*declared, learned=not self.bounded)
        for index, blob in enumerate(self.blobs):
            blob.keep_versions()
            self.set_param_propagate_down(index, True)  # they are learned, and within bounds the layer writes them too
        #: In place, the bottom before it was overwritten.
        self.before = self.new_blob(name="before")
        #: The gradients of scale and bias of one pass.
        self.sums = self.new_blob(name="sums")
        self.nothing = self.xp.empty((0, 0, 0), self.dtype)

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        shape = self._scale(bottom).shape
        self.aligned = align("scale", bottom[0], shape, self.param.scale_param.axis)
        top[0].reshape(*bottom[0].shape)
        self.sums.reshape(2, self.aligned[1])
        if bottom[0] is top[0]:
            self.before.reshape(*self.aligned)

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        x, y = bottom[0].data.reshape(self.aligned), top[0].data.reshape(self.aligned)
        if bottom[0] is top[0]:
            self.before.data[...] = x
        scale = self._scale(bottom).data.reshape(-1)
        self._bound()
        if self.bias_term:
            self.ops.multiply_add(x, scale, self.blobs[-1].data.reshape(-1), y)
        else:
            self.ops.multiply(x, scale, y)

    def _bound(self) -> None:
        if self.bounded:
            self.xp.clip(self.blobs[0].data, *self.bounds, out=self.blobs[0].data)

    def affine(self) -> Affine | None:
        if not self.learned or self.blobs[0].num_axes != 1:
            return None
        self._bound()
        scale, *shift = (blob.read_only.data for blob in self.blobs)
        return Affine(self.channel, scale, shift[0] if shift else None)

    def add_affine_gradients(self, scale: Any, shift: Any) -> None:
        for index, gradient in enumerate((scale, shift)[: len(self.blobs)]):
            if self.param_propagate_down(index):
                self.blobs[index].diff[...] += gradient

    def backward(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        blob = self._scale(bottom)
        scale, y_diff = blob.data.reshape(-1), top[0].diff.reshape(self.aligned)
        x_diff = bottom[0].diff.reshape(self.aligned) if propagate_down[0] else self.nothing
        wants_scale = self.param_propagate_down(0) if self.learned else propagate_down[1]
        wants_bias = self.bias_term and self.param_propagate_down(len(self.blobs) - 1)
        if wants_scale or wants_bias:
            x = self.before.data if bottom[0] is top[0] else bottom[0].data.reshape(self.aligned)
            sums = self.sums.data
            self.ops.gradients(x, y_diff, scale, x_diff, sums)
            if wants_scale and self.learned:
                blob.diff[...] += sums[0].reshape(blob.shape)
            elif wants_scale:
                blob.diff[...] = sums[0].reshape(blob.shape)
            if wants_bias:
                self.blobs[-1].diff[...] += sums[1].reshape(blob.shape)
        elif propagate_down[0]:
            self.ops.multiply(y_diff, scale, x_diff)

    def _scale(self, bottom: Sequence[Any]) -> Any:
        return self.blobs[0] if self.learned else bottom[1]
