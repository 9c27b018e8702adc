"""Layers that oneDNN computes where their bottoms are in its layouts, and that compute themselves otherwise."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from bicerin.layer import Blob, Layer, NeuronLayer, Repetition, Replays
from bicerin_onednn.exchange import Reader, place_to_write, present_layout, written
from bicerin_onednn.layout import OneDNNLayout
from bicerin_onednn.library import NotImplementedByOneDNNError, is_forked
from bicerin_onednn.primitive import Primitive

#: How many shapes are kept.
_MOST = 16


class ArrangedLayer(Replays, Layer):
    """A layer of one top, to be put before the class that it speeds up. At TEST only: nothing is kept for a gradient.

    The bottoms that are in rows are read in rows.
    """

    #: Whether all bottoms have one shape, and are to be read in one layout.
    one_layout = False

    _computed_by_engine = False

    def layer_set_up(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        super().layer_set_up(bottom, top)
        self._primitives: dict[Any, tuple[Primitive, OneDNNLayout] | None] = {}
        self._readers: list[Reader] = []

    def make(self, bottom: Sequence[Blob], layouts: Sequence[OneDNNLayout]) -> tuple[Primitive, OneDNNLayout] | None:
        """The primitive for bottoms in these layouts, and the layout of the top; None where there is none.

        It is run with the addresses of the bottoms, that of the top, and `extra`.
        """
        raise NotImplementedError

    def key(self) -> Any:
        """On what the primitive depends besides the bottoms' layouts."""
        return None

    def extra(self) -> Sequence[int]:
        """Addresses of further arguments."""
        return ()

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        self._computed_by_engine = not is_forked() and self._run_engine(bottom, top)
        if not self._computed_by_engine:
            super().forward(bottom, top)

    def _run_engine(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> bool:
        memories = [blob.memory[0] for blob in bottom]
        if not any(memory.layout is not None for memory in memories):
            return False
        layouts = [present_layout(memory, blob.shape) for memory, blob in zip(memories, bottom, strict=True)]
        arranged = [layout for layout in layouts if not layout.is_rows]
        if not arranged:
            return False
        if self.one_layout:
            layouts = arranged[-1:] * len(layouts)
        key = (*layouts, self.key())
        if key not in self._primitives:
            if len(self._primitives) >= _MOST:
                self._primitives.clear()
            self.top_shapes = [blob.shape for blob in top]
            try:
                self._primitives[key] = self.make(bottom, layouts)
            except NotImplementedByOneDNNError:
                self._primitives[key] = None
        run = self._primitives[key]
        if run is None:
            return False
        primitive, layout = run
        sources = [reader.address(memory) for reader, memory in zip(self._readers_of(layouts), memories, strict=True)]
        target = top[0].memory[0]
        primitive.run(*sources, place_to_write(target, layout), *self.extra())
        written(target)
        return True

    def repetition(self) -> Repetition | None:
        return Repetition(keeps=list(self._readers)) if self._computed_by_engine else None

    def _readers_of(self, layouts: Sequence[OneDNNLayout]) -> list[Reader]:
        if [reader.layout for reader in self._readers] != list(layouts):
            self._readers = [Reader(layout) for layout in layouts]
        return self._readers

    def backward(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        if self._computed_by_engine:
            # What the gradient needs, the layer's own forward pass leaves.
            super().forward(bottom, top)
        super().backward(top, propagate_down, bottom)


class ArrangedNeuronLayer(NeuronLayer):
    """An element-wise layer, which does not mind the order of the elements.

    Only where a layout has no padding: the library wants zeros there, and f(0) need not be 0.
    """

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        memory = bottom[0].memory[0]
        layout = memory.layout
        if not isinstance(layout, OneDNNLayout) or layout.nbytes != 4 * bottom[0].count or not memory.may_be_arranged:
            super().forward(bottom, top)
            return
        source = memory.arranged().array[: layout.nbytes].view(np.float32)
        target = top[0].memory[0]
        self.activate(source, target.arrange(layout).array[: layout.nbytes].view(np.float32))
        written(target)
