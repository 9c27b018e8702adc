"""LRN across channels by oneDNN where the bottom is in one of its layouts. Source: oneDNN's LRN primitive."""

from __future__ import annotations

from collections.abc import Sequence

from bicerin.layer import Blob
from bicerin_normalization.lrn import LRNLayer
from bicerin_onednn import library as dnn
from bicerin_onednn.arranged import ArrangedLayer
from bicerin_onednn.layout import OneDNNLayout
from bicerin_onednn.library import library
from bicerin_onednn.primitive import Primitive


class OneDNNLRNLayer(ArrangedLayer, LRNLayer):
    """ACROSS_CHANNELS."""

    def make(self, bottom: Sequence[Blob], layouts: Sequence[OneDNNLayout]) -> tuple[Primitive, OneDNNLayout] | None:
        if not self.across:
            return None
        dll, layout = library(), layouts[0]
        descriptor = dll.make(
            "lrn_forward_primitive_desc_create",
            dll.engine,
            dnn.INFERENCE,
            dnn.LRN_ACROSS,
            layout.handle,
            layout.handle,
            self.reach,
            self.rate * self.reach,
            self.beta,
            self.shift,
            None,
        )
        return Primitive(descriptor, {dnn.SRC: layout.handle, dnn.DST: layout.handle}), layout
