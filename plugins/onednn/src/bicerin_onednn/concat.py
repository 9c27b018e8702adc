"""Concat by oneDNN where bottoms are in its layouts. Source: oneDNN's concat primitive."""

from __future__ import annotations

from collections.abc import Sequence
from ctypes import c_void_p

from bicerin.layer import Blob
from bicerin_onednn import library as dnn
from bicerin_onednn.arranged import ArrangedLayer
from bicerin_onednn.layout import OneDNNLayout, layout_of
from bicerin_onednn.library import library
from bicerin_onednn.primitive import Primitive
from bicerin_structure.concat import ConcatLayer


class OneDNNConcatLayer(ArrangedLayer, ConcatLayer):
    """Along any axis."""

    def make(self, bottom: Sequence[Blob], layouts: Sequence[OneDNNLayout]) -> tuple[Primitive, OneDNNLayout] | None:
        if len(bottom) == 1:
            return None
        dll = library()
        sources = (c_void_p * len(layouts))(*(layout.handle for layout in layouts))
        descriptor = dll.make("concat_primitive_desc_create", dll.engine, None, len(layouts), self.axis, sources, None)
        target = layout_of(self.top_shapes[0], dll.memory_descriptor(descriptor, dnn.QUERY_DST))
        arguments = {dnn.MULTIPLE_SRC + index: layout.handle for index, layout in enumerate(layouts)}
        return Primitive(descriptor, {**arguments, dnn.DST: target.handle}), target
