"""Eltwise by oneDNN: sums in its layouts, with the rectifier after them. Source: oneDNN's binary primitive."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from bicerin.layer import Blob, Finishes, Repetition
from bicerin_onednn import library as dnn
from bicerin_onednn.arranged import ArrangedLayer
from bicerin_onednn.attributes import attributes
from bicerin_onednn.layout import OneDNNLayout, layout_of
from bicerin_onednn.library import library
from bicerin_onednn.primitive import Primitive
from bicerin_structure.eltwise import EltwiseLayer


class OneDNNEltwiseLayer(Finishes, ArrangedLayer, EltwiseLayer):
    """SUM of two bottoms without coefficients. The layers after it that scale, shift and rectify are done with it."""

    channel_axis = 1
    one_layout = True

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        scale, shift, self._slope = self.finish(None)
        self._rectifies_only = not scale.size and not shift.size
        super().forward(bottom, top)
        if not self._computed_by_engine and self.absorbed:
            _finish(top[0].data, scale, shift, self._slope)

    def repetition(self) -> Repetition | None:
        if not self._computed_by_engine:
            return None
        return Repetition([layer.affine for layer in self.absorbed], list(self._readers))

    def key(self) -> Any:
        return self._slope if self._rectifies_only else None

    def make(self, bottom: Sequence[Blob], layouts: Sequence[OneDNNLayout]) -> tuple[Primitive, OneDNNLayout] | None:
        if not self.is_sum() or not self._rectifies_only:
            return None
        dll, layout = library(), layouts[0]
        with attributes(self._slope) as attribute:
            handles = (layout.handle,) * 3
            descriptor = dll.make("binary_primitive_desc_create", dll.engine, dnn.ADD, *handles, attribute)
        target = layout_of(layout.shape, dll.memory_descriptor(descriptor, dnn.QUERY_DST))
        arguments = {dnn.SRC: layout.handle, dnn.SRC_1: layout.handle, dnn.DST: target.handle}
        return Primitive(descriptor, arguments), target


def _finish(y: Any, scale: np.ndarray, shift: np.ndarray, slope: float) -> None:
    """Scale, shift and rectify an array in place; its channels are axis 1."""
    shape = (1, -1, *(1,) * (y.ndim - 2))
    if scale.size:
        y *= scale.reshape(shape)
    if shift.size:
        y += shift.reshape(shape)
    if slope != 1:
        np.multiply(y, slope, out=y, where=y < 0)
