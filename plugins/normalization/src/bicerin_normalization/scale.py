"""Scale: multiply by a blob along some axes of another, and perhaps add a bias."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bicerin.device import CudaSource
from bicerin.kernels import Affine
from bicerin.layer import Blob, BlobCounts, Layer, between
from bicerin_normalization.alignment import align, operand_shape
from bicerin_normalization.scale_kernels import (
    scale_backward,
    scale_backward_reference,
    scale_shift,
    scale_shift_reference,
)


class ScaleLayer(Layer):
    """top = bottom[0] * scale + bias, both repeated over the axes that they lack.

    The scale, of the shape of `num_axes` axes of bottom[0] from `axis` on, is bottom[1], or learned where there is one
    bottom; it starts as 1 unless a filler is given. With `bias_term` a bias of the same shape is learned. In place is
    allowed, at the price of a copy of bottom[0] for the gradient. Source: Caffe's ScaleLayer.
    """

    type = "Scale"
    counts = BlobCounts(bottom=between(1, 2), top=1)
    cuda = CudaSource(__file__, "scale.cu")

    def layer_set_up(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        param = self.param.scale_param
        self.learned = len(bottom) == 1
        self.bias_term: bool = param.bias_term
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
        self.declare_blobs(*declared)
        self.no_bias = np.empty(0, self.dtype)
        self.before = np.empty(0, self.dtype)
        self.device_before = self.new_blob(name="before")
        #: The gradients of scale and bias of one pass, on a device.
        self.sums = self.new_blob(name="sums")

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        shape = self._scale(bottom).shape
        self.aligned = align("scale", bottom[0], shape, self.param.scale_param.axis)
        top[0].reshape(*bottom[0].shape)
        if not self.bias_term and len(self.no_bias) != self.aligned[1]:
            self.no_bias = np.zeros(self.aligned[1], self.dtype)
        self.sums.reshape(2, self.aligned[1])
        if bottom[0] is top[0]:
            self.device_before.reshape(*self.aligned)
            if self.device.is_host and self.before.shape != self.aligned:
                self.before = np.empty(self.aligned, self.dtype)

    def forward_cpu(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        x, y = bottom[0].cpu_data.reshape(self.aligned), top[0].data.reshape(self.aligned)
        if bottom[0] is top[0]:
            self.before[...] = x
        bias = self.blobs[-1].cpu_data.reshape(-1) if self.bias_term else self.no_bias
        # Where there are no rows, NumPy, which runs along the middle axis, is faster.
        run = scale_shift if self.aligned[2] > 1 else scale_shift_reference
        run(x, self._scale(bottom).cpu_data.reshape(-1), bias, y)

    def affine(self) -> Affine | None:
        if not self.learned or self.blobs[0].num_axes != 1:
            return None
        bias = self.blobs[1].cpu_data if self.bias_term else None
        return Affine(self.channel, self.blobs[0].cpu_data, bias)

    def backward_cpu(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        scale = self._scale(bottom)
        factor = scale.cpu_data.reshape(-1)
        y_diff = top[0].cpu_diff.reshape(self.aligned)
        x_diff = bottom[0].diff.reshape(self.aligned) if propagate_down[0] else np.empty((0, 0, 0), self.dtype)
        wants_scale = self.param_propagate_down(0) if self.learned else propagate_down[1]
        wants_bias = self.bias_term and self.param_propagate_down(len(self.blobs) - 1)
        if wants_scale or wants_bias:
            x = self.before if bottom[0] is top[0] else bottom[0].cpu_data.reshape(self.aligned)
            sums = np.empty((2, self.aligned[1]), self.dtype)
            run = scale_backward if self.aligned[2] > 1 else scale_backward_reference
            run(x, y_diff, factor, x_diff, sums)
            if wants_scale and self.learned:
                scale.diff[...] += sums[0].reshape(scale.shape)
            elif wants_scale:
                scale.diff[...] = sums[0].reshape(scale.shape)
            if wants_bias:
                self.blobs[-1].diff[...] += sums[1].reshape(scale.shape)
        elif propagate_down[0]:
            np.multiply(y_diff, factor[:, None], out=x_diff)

    def forward_gpu(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        x, scale = bottom[0].const_gpu_data, self._scale(bottom).const_gpu_data
        if bottom[0] is top[0]:
            self.device_before.gpu_data[...] = x.reshape(self.aligned)
        bias = self.blobs[-1].const_gpu_data if self.bias_term else scale
        self.kernels.forward(x.size, x, scale, bias, self.bias_term, top[0].gpu_data, *self.aligned[1:])

    def backward_gpu(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        scale, y_diff = self._scale(bottom), top[0].const_gpu_diff
        wants_scale = self.param_propagate_down(0) if self.learned else propagate_down[1]
        wants_bias = self.bias_term and self.param_propagate_down(len(self.blobs) - 1)
        if wants_scale or wants_bias:
            x = (self.device_before if bottom[0] is top[0] else bottom[0]).const_gpu_data
            sums = self.sums.gpu_data
            self.kernels.sums.blocks(self.aligned[1], x, y_diff, sums[0], sums[1], *self.aligned)
            if wants_scale and self.learned:
                scale.gpu_diff[...] += sums[0].reshape(scale.shape)
            elif wants_scale:
                scale.gpu_diff[...] = sums[0].reshape(scale.shape)
            if wants_bias:
                self.blobs[-1].gpu_diff[...] += sums[1].reshape(scale.shape)
        if propagate_down[0]:
            factor = scale.const_gpu_data
            self.kernels.backward(y_diff.size, y_diff, factor, bottom[0].gpu_diff, *self.aligned[1:])

    def _scale(self, bottom: Sequence[Blob]) -> Blob:
        return self.blobs[0] if self.learned else bottom[1]
