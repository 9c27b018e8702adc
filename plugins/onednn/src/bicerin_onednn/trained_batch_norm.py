"""BatchNorm in training by oneDNN, with Scale, Bias and ReLU after it, where the bottom is in one of its layouts.

Source: oneDNN's batch normalization primitives.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np

from bicerin.device import Memory, Room
from bicerin.layer import ActsAffinely, Blob
from bicerin_normalization.batch_norm import BatchNormLayer
from bicerin_onednn import library as dnn
from bicerin_onednn.exchange import present_layout, written
from bicerin_onednn.layout import OneDNNLayout, address, rows_of
from bicerin_onednn.library import NotImplementedByOneDNNError, is_forked, library
from bicerin_onednn.primitive import Primitive
from bicerin_onednn.trained_exchange import is_arranged, read_in


class TrainedBatchNormLayer(BatchNormLayer):
    """Rectified with a slope of 0 or not at all; with another slope, the layer's own code computes."""

    def layer_set_up(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        super().layer_set_up(bottom, top)
        self._passes: dict[Any, Passes | None] = {}
        self._present: Passes | None = None

    def forward_with(self, layers: Sequence[ActsAffinely], bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        memory = bottom[0].memory[0]
        self._present = None
        if not is_forked() and is_arranged(memory):
            layout = present_layout(memory, bottom[0].shape)
            finish = self._finish_of(layers)
            if not layout.is_rows and finish.slope in (0, 1):
                self._present = self._passes_in(layout, finish.slope == 0)
        passes = self._present
        if passes is None:
            super().forward_with(layers, bottom, top)
            return
        self.finished_with = finish
        source: Memory = memory
        if bottom[0] is top[0]:
            if self.before is None or self.before.size != memory.size:
                self.before = Memory(memory.size, memory.dtype, memory.device)
            self.before.take(memory)
            source = self.before
        mean, variance, inverse = self.statistics.data[0]
        target = top[0].memory[0]
        x = read_in(source, passes.layout, "x")
        passes.forward(x, target.arrange(passes.layout).address, mean, variance, finish.scale, finish.shift)
        written(target)
        np.divide(1, np.sqrt(variance + self.dtype.type(self.eps)), out=inverse)
        self._accumulate(mean, variance, bottom[0].count)

    def _passes_in(self, layout: OneDNNLayout, rectified: bool) -> Passes | None:
        key = layout, rectified
        if key not in self._passes:
            self._passes.clear()
            try:
                self._passes[key] = Passes(layout, self.eps, rectified)
            except NotImplementedByOneDNNError:
                self._passes[key] = None
        return self._passes[key]

    def forward_again(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        passes = self._present
        if passes is None or is_forked():
            super().forward_again(bottom, top)
            return
        source: Any = self.before if bottom[0] is top[0] else bottom[0].memory[0]
        mean, variance, _ = self.statistics.data[0]
        scale, shift, _ = self.finished_with
        target = top[0].memory[0]
        x = read_in(source, passes.layout, "x")
        passes.forward_again(x, target.arrange(passes.layout).address, mean, variance, scale, shift)
        written(target)

    def backward_with(
        self,
        layers: Sequence[ActsAffinely],
        top: Sequence[Blob],
        propagate_down: Sequence[bool],
        bottom: Sequence[Blob],
    ) -> None:
        passes = self._present
        if passes is None or not propagate_down[0] or is_forked():
            super().backward_with(layers, top, propagate_down, bottom)
            return
        in_place = bottom[0] is top[0]
        assert self.before is not None or not in_place
        source: Any = self.before if in_place else bottom[0].memory[0]
        mean, variance, _ = self.statistics.data[0]
        shift_diff, scale_diff = self.gradient_means.data
        x, y_diff = read_in(source, passes.layout, "x"), read_in(top[0].memory[1], passes.layout, "y")
        target = bottom[0].memory[1]
        x_diff = target.arrange(passes.layout).address
        passes.backward(x, mean, variance, y_diff, self.finished_with.scale, x_diff, scale_diff, shift_diff)
        written(target)
        self._add_gradients(layers)


class Passes:
    """Both passes in one layout.

    Args:
        eps: what is added to the variance.
        rectified: whether negative results become 0.
    """

    def __init__(self, layout: OneDNNLayout, eps: float, rectified: bool) -> None:
        dll = library()
        self.layout = layout
        self._eps, self._rectified = eps, rectified
        flags = dnn.SCALE_AND_SHIFT | (dnn.RECTIFIED if rectified else 0)
        name = "batch_normalization_forward_primitive_desc_create"
        hint = dll.make(name, dll.engine, dnn.TRAINING, layout.handle, layout.handle, eps, flags, None)
        try:
            space = dll.memory_descriptor(hint, dnn.QUERY_WORKSPACE) if rectified else None
            self._space = Room(dll.size(space)) if space is not None else None
            numbers = rows_of((layout.shape[1],)).handle
            backward = dll.make(
                "batch_normalization_backward_primitive_desc_create",
                *(dll.engine, dnn.BACKWARD, layout.handle, layout.handle, layout.handle, eps, flags, hint, None),
            )
        except BaseException:
            dll.call("primitive_desc_destroy", hint)
            raise
        arguments = {dnn.SRC: layout.handle, dnn.DST: layout.handle}
        arguments |= dict.fromkeys((dnn.MEAN, dnn.VARIANCE, dnn.SCALE, dnn.SHIFT), numbers)
        gradients = {dnn.SRC: layout.handle, dnn.MEAN: numbers, dnn.VARIANCE: numbers, dnn.DIFF_DST: layout.handle}
        gradients |= {dnn.SCALE: numbers, dnn.DIFF_SRC: layout.handle, dnn.DIFF_SCALE: numbers, dnn.DIFF_SHIFT: numbers}
        if space is not None:
            arguments[dnn.WORKSPACE] = gradients[dnn.WORKSPACE] = space
        self._forward, self._backward = Primitive(hint, arguments), Primitive(backward, gradients)

    def _with_space(self, *arguments: Any) -> list[int]:
        addresses = [one if isinstance(one, int) else address(one) for one in arguments]
        return addresses if self._space is None else [*addresses, self._space.address]

    def forward(self, *arguments: Any) -> None:
        """Of the addresses of x and y, and mean and variance, which are written, scale and shift, `(C,)`."""
        self._forward.run(*self._with_space(*arguments))

    def forward_again(self, *arguments: Any) -> None:
        """Of the same, with the mean and variance that were found."""
        self._again.run(*(one if isinstance(one, int) else address(one) for one in arguments))

    @cached_property
    def _again(self) -> Primitive:
        flags = dnn.GLOBAL_STATISTICS | dnn.SCALE_AND_SHIFT | (dnn.RECTIFIED if self._rectified else 0)
        handle, dll = self.layout.handle, library()
        name = "batch_normalization_forward_primitive_desc_create"
        descriptor = dll.make(name, dll.engine, dnn.INFERENCE, handle, handle, self._eps, flags, None)
        arguments = {dnn.SRC: handle, dnn.DST: handle}
        numbers = rows_of((self.layout.shape[1],)).handle
        arguments |= dict.fromkeys((dnn.MEAN, dnn.VARIANCE, dnn.SCALE, dnn.SHIFT), numbers)
        return Primitive(descriptor, arguments)

    def backward(self, *arguments: Any) -> None:
        """Of x, mean, variance, y's gradient, scale, x's gradient, and those of scale and shift."""
        self._backward.run(*self._with_space(*arguments))
