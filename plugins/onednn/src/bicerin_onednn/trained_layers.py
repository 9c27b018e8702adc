"""Layers between convolutions in training, in whatever of oneDNN's layouts their bottoms are."""

from __future__ import annotations

from collections.abc import Sequence
from ctypes import c_float
from typing import Any

import numpy as np

from bicerin.layer import Blob
from bicerin.layer.split import SplitLayer
from bicerin.layer.split_kernels import add_four, add_two
from bicerin_activation.relu import ReLULayer
from bicerin_onednn import library as dnn
from bicerin_onednn.exchange import present_layout, written
from bicerin_onednn.layout import OneDNNLayout, dims, layout_of, reorder
from bicerin_onednn.library import NotImplementedByOneDNNError, OneDNNError, is_forked, library
from bicerin_onednn.trained_exchange import is_arranged, read_in
from bicerin_structure.concat import ConcatLayer
from bicerin_structure.eltwise import EltwiseLayer


def layout_among(blobs: Sequence[Blob], kind: int) -> OneDNNLayout | None:
    """The layout of the first of the blobs' values (0) or gradients (1) that are in one; None where all are in rows."""
    for blob in blobs:
        if is_arranged(blob.memory[kind]):
            layout = present_layout(blob.memory[kind], blob.shape)
            if not layout.is_rows:
                return layout
    return None


def elements(place: int, layout: OneDNNLayout) -> np.ndarray:
    """All elements at an address, padding too, as a flat array."""
    return np.ctypeslib.as_array((c_float * (layout.nbytes // 4)).from_address(place))


class TrainedReLULayer(ReLULayer):
    """The rectifier, of which padding stays zeros."""

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        source, target = bottom[0].memory[0], top[0].memory[0]
        layout = None if is_forked() else layout_among(bottom, 0)
        if layout is None or not source.may_be_arranged:
            super().forward(bottom, top)
            return
        x = elements(read_in(source, layout, "x"), layout)
        self.activate(x, elements(target.arrange(layout).address, layout))
        written(target)

    def backward(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        layout = None if is_forked() else layout_among(top, 0)
        if layout is None or not propagate_down[0] or not is_arranged(bottom[0].memory[0]):
            super().backward(top, propagate_down, bottom)
            return
        x = elements(read_in(bottom[0].memory[0], layout, "x"), layout)
        y_diff = elements(read_in(top[0].memory[1], layout, "y"), layout)
        target = bottom[0].memory[1]
        self.gradient(x, None, y_diff, elements(target.arrange(layout).address, layout))
        written(target)


class TrainedEltwiseLayer(EltwiseLayer):
    """Sums of two."""

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        layout = layout_among(bottom, 0) if self.is_sum() and len(bottom) == 2 and not is_forked() else None
        if layout is None:
            super().forward(bottom, top)
            return
        first, second = (
            elements(read_in(blob.memory[0], layout, name), layout) for blob, name in zip(bottom, "xy", strict=True)
        )
        target = top[0].memory[0]
        add_two(first, second, elements(target.arrange(layout).address, layout))
        written(target)

    def backward(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        layout = layout_among(top, 1) if self.is_sum() and not is_forked() else None
        if layout is None:
            super().backward(top, propagate_down, bottom)
            return
        place = read_in(top[0].memory[1], layout, "y")
        for blob, wanted in zip(bottom, propagate_down, strict=True):
            if wanted:
                target = blob.memory[1]
                reorder(layout, layout).run(place, target.arrange(layout).address)
                written(target)


class TrainedSplitLayer(SplitLayer):
    """The sum of gradients."""

    def backward(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        layout = layout_among(top, 1) if not is_forked() else None
        if layout is None or not propagate_down[0] or len(top) == 1:
            super().backward(top, propagate_down, bottom)
            return
        target = bottom[0].memory[1]
        given = [elements(read_in(blob.memory[1], layout, f"top {i}"), layout) for i, blob in enumerate(top)]
        total = elements(target.arrange(layout).address, layout)
        if len(given) >= 4:
            add_four(*given[:4], total)
            rest = given[4:]
        else:
            add_two(*given[:2], total)
            rest = given[2:]
        for diff in rest:
            add_two(total, diff, total)
        written(target)


class TrainedConcatLayer(ConcatLayer):
    """Along the channels, where each bottom fills blocks of its own."""

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        self._parts_in: list[OneDNNLayout] | None = None
        layout = layout_among(bottom, 0) if len(bottom) > 1 and not is_forked() else None
        whole = _like(layout, top[0].shape) if layout is not None else None
        parts = self._sub_layouts(whole, bottom) if whole is not None else None
        if whole is None or parts is None:
            super().forward(bottom, top)
            return
        self._parts_in, self._whole = parts, whole
        target = top[0].memory[0]
        place = target.arrange(whole).address
        for blob, part in zip(bottom, parts, strict=True):
            memory = blob.memory[0]
            present = present_layout(memory, blob.shape)
            source = read_in(memory, present, "x")
            reorder(present, part).run(source, place)
        written(target)

    def _sub_layouts(self, whole: OneDNNLayout, bottom: Sequence[Blob]) -> list[OneDNNLayout] | None:
        """Where each bottom is in the top."""
        key = whole, tuple(blob.shape for blob in bottom)
        known: dict[Any, Any] = self.__dict__.setdefault("_sub_layouts_of", {})
        if key not in known:
            found: list[OneDNNLayout] | None = []
            offset = 0
            for blob in bottom:
                offsets = [0] * len(blob.shape)
                offsets[self.axis] = offset
                try:
                    handle = library().make(
                        "memory_desc_create_submemory", whole.handle, dims(blob.shape), dims(offsets)
                    )
                except OneDNNError:  # it would begin or end inside a block
                    found = None
                    break
                assert found is not None
                found.append(OneDNNLayout(blob.shape, handle))
                offset += blob.shape[self.axis]
            known.clear()
            known[key] = found
        result: list[OneDNNLayout] | None = known[key]
        return result

    def backward(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        if self._parts_in is None or is_forked():
            super().backward(top, propagate_down, bottom)
            return
        place = read_in(top[0].memory[1], self._whole, "y")
        for blob, part, wanted in zip(bottom, self._parts_in, propagate_down, strict=True):
            if wanted:
                target, layout = blob.memory[1], _like(self._whole, blob.shape)
                assert layout is not None
                reorder(part, layout).run(place, target.arrange(layout).address)
                written(target)

    _parts_in: list[OneDNNLayout] | None = None
    _whole: OneDNNLayout


def _like(layout: OneDNNLayout, shape: tuple[int, ...]) -> OneDNNLayout | None:
    """The same order of elements for another shape, where it is one of the library's tags for images."""
    tag = TAGS.get(library().order(layout.handle))
    if tag is None or len(shape) != 4:
        return None
    try:
        return layout_of(shape, library().make("memory_desc_create_with_tag", 4, dims(shape), dnn.F32, tag))
    except NotImplementedByOneDNNError:
        return None


#: The library's tags of layouts of images: channels last, and blocks of channels.
TAGS = {"acdb": 22, "abcd in blocks of 8b": 102, "abcd in blocks of 16b": 78}
