"""Pooling in training by oneDNN where the bottom is in one of its layouts. Source: oneDNN's pooling primitives."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bicerin.device import Room
from bicerin.layer import Blob
from bicerin_onednn import library as dnn
from bicerin_onednn.exchange import present_layout, written
from bicerin_onednn.layout import OneDNNLayout, any_of, layout_of
from bicerin_onednn.library import NotImplementedByOneDNNError, is_forked, library
from bicerin_onednn.pooling import window_of
from bicerin_onednn.primitive import Primitive
from bicerin_onednn.trained_exchange import is_arranged, read_in
from bicerin_pooling.pooling import PoolingLayer


class TrainedPoolingLayer(PoolingLayer):
    """MAX without a mask, and AVE where Caffe's area of a window is one of the library's two."""

    def layer_set_up(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        super().layer_set_up(bottom, top)
        self._passes: dict[Any, Passes | None] = {}
        self._present: Passes | None = None

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        self._present = None
        memory = bottom[0].memory[0]
        if not is_forked() and is_arranged(memory) and len(top) == 1:
            layout = present_layout(memory, bottom[0].shape)
            self._present = None if layout.is_rows else self._passes_in(layout)
        passes = self._present
        if passes is None:
            super().forward(bottom, top)
            return
        target = top[0].memory[0]
        passes.forward(read_in(memory, passes.x, "x"), target.arrange(passes.y).address)
        written(target)

    def _passes_in(self, layout: OneDNNLayout) -> Passes | None:
        if layout not in self._passes:
            self._passes.clear()
            window = window_of(self, layout.shape)
            try:
                self._passes[layout] = None if window is None else Passes(layout, self.pooling.shape, *window)
            except NotImplementedByOneDNNError:
                self._passes[layout] = None
        return self._passes[layout]

    def backward(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        passes = self._present
        if passes is None or is_forked():
            super().backward(top, propagate_down, bottom)
        elif propagate_down[0]:
            target = bottom[0].memory[1]
            passes.backward(read_in(top[0].memory[1], passes.y, "y"), target.arrange(passes.x).address)
            written(target)


class Passes:
    """Both passes in one layout.

    Args:
        layout: the bottom's.
        shape: the top's.
        algorithm, window: as the library takes them.

    Attributes:
        x, y: the layouts.
    """

    def __init__(self, layout: OneDNNLayout, shape: tuple[int, ...], algorithm: int, window: Sequence[Any]) -> None:
        dll = library()
        self.x = layout
        name = "pooling_forward_primitive_desc_create"
        hint = dll.make(name, dll.engine, dnn.TRAINING, algorithm, layout.handle, any_of(shape), *window, None)
        self.y = layout_of(shape, dll.memory_descriptor(hint, dnn.QUERY_DST))
        maximum = algorithm == dnn.POOL_MAX
        space = dll.memory_descriptor(hint, dnn.QUERY_WORKSPACE) if maximum else None
        self._space = Room(dll.size(space)) if space is not None else None
        name = "pooling_backward_primitive_desc_create"
        backward = dll.make(name, dll.engine, algorithm, layout.handle, self.y.handle, *window, hint, None)
        arguments = {dnn.SRC: layout.handle, dnn.DST: self.y.handle}
        gradients = {dnn.DIFF_DST: self.y.handle, dnn.DIFF_SRC: layout.handle}
        if space is not None:
            arguments[dnn.WORKSPACE] = gradients[dnn.WORKSPACE] = space
        self._forward, self._backward = Primitive(hint, arguments), Primitive(backward, gradients)

    def forward(self, x: int, y: int) -> None:
        self._forward.run(x, y, *self._more())

    def backward(self, y_diff: int, x_diff: int) -> None:
        self._backward.run(y_diff, x_diff, *self._more())

    def _more(self) -> Sequence[int]:
        return () if self._space is None else (self._space.address,)
