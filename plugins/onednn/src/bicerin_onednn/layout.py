"""Layouts: how oneDNN has arrays in memory. There is one object for each shape and order, so `is` compares them."""

from __future__ import annotations

from collections.abc import Sequence
from ctypes import c_float, c_int64
from functools import cache
from math import prod
from typing import Any, cast

import numpy as np

from bicerin.device import Layout, Memory, Room
from bicerin_onednn import library as dnn
from bicerin_onednn.library import is_forked, library
from bicerin_onednn.primitive import Primitive


class OneDNNLayout(Layout):
    """An array of float32 in one order of oneDNN's.

    Args:
        shape: of the array.
        handle: of the library's descriptor, which is the layout's own from now on.

    Attributes:
        is_rows: whether it is the order of NumPy's.
    """

    def __init__(self, shape: tuple[int, ...], handle: int) -> None:
        self.shape = shape
        self.handle = handle
        self.nbytes = library().size(handle)
        self.is_rows = library().equal(handle, _rows_handle(shape))

    def __repr__(self) -> str:
        order = "rows" if self.is_rows else library().order(self.handle)
        return f"OneDNNLayout({self.shape}, {order})"

    def to_rows(self, room: Room, rows: np.ndarray) -> None:
        reorder(self, rows_of(self.shape)).run(room.address, address(rows))

    def side_by_side(
        self, shape: tuple[int, ...], shapes: Sequence[tuple[int, ...]]
    ) -> tuple[Layout, Sequence[Layout]] | None:
        if self is not blocked_of(self.shape) or any(len(other) != len(shape) for other in shapes):
            return None
        # Along the channels of one image, in whole blocks, or along images.
        axis = 1 if shape[0] == 1 else 0
        if any(other[:axis] + other[axis + 1 :] != shape[:axis] + shape[axis + 1 :] for other in shapes):
            return None
        whole, *parts = [blocked_of(other) for other in (shape, *shapes)]
        if any(one is None or one.nbytes != 4 * prod(one.shape) for one in (whole, *parts)):
            return None
        return cast("tuple[Layout, Sequence[Layout]]", (whole, parts))

    def fill(self, room: Room, source: Memory) -> None:
        present = source.layout
        if isinstance(present, OneDNNLayout) and present.shape == self.shape:
            reorder(present, self).run(source.arranged().address, room.address)
        else:
            reorder(rows_of(self.shape), self).run(address(source.host_array(write=False)), room.address)


def address(array: np.ndarray) -> int:
    """Where an array begins."""
    return int(array.__array_interface__["data"][0])


def floats_at(place: int, layout: OneDNNLayout) -> np.ndarray:
    """The float32 of a layout at an address, flat. Whoever has the memory must keep it."""
    return np.ctypeslib.as_array((c_float * (layout.nbytes // 4)).from_address(place))


def dims(numbers: Sequence[int]) -> Any:
    """Numbers as the library takes them."""
    return (c_int64 * dnn.MAX_AXES)(*numbers)


_layouts: dict[tuple[int, ...], list[OneDNNLayout]] = {}


def layout_of(shape: tuple[int, ...], handle: int) -> OneDNNLayout:
    """The one layout for this descriptor, which is the layout's own from now on, or let go of."""
    known = _layouts.setdefault(shape, [])
    for layout in known:
        if library().equal(layout.handle, handle):
            library().call("memory_desc_destroy", handle)
            return layout
    layout = OneDNNLayout(shape, handle)
    known.append(layout)
    return layout


@cache
def _rows_handle(shape: tuple[int, ...]) -> int:
    strides = [prod(shape[axis + 1 :]) for axis in range(len(shape))]
    return library().make("memory_desc_create_with_strides", len(shape), dims(shape), dnn.F32, dims(strides))


@cache
def rows_of(shape: tuple[int, ...]) -> OneDNNLayout:
    """The order of NumPy's."""
    return layout_of(shape, library().make("memory_desc_clone", _rows_handle(shape)))


@cache
def any_of(shape: tuple[int, ...]) -> int:
    """A descriptor that leaves the order to the primitive that is made with it."""
    return library().make("memory_desc_create_with_tag", len(shape), dims(shape), dnn.F32, 1)


@cache
def blocked_of(shape: tuple[int, ...]) -> OneDNNLayout | None:
    """The order with the channels in blocks of a vector's length; None for fewer channels, or 1, 2 or 6 axes."""
    dll = library()
    tag = dnn.BLOCKED[dll.lanes].get(len(shape))
    if tag is None or shape[1] < dll.lanes:
        return None
    return layout_of(shape, dll.make("memory_desc_create_with_tag", len(shape), dims(shape), dnn.F32, tag))


class Reorder:
    """From one layout to another."""

    def __init__(self, source: OneDNNLayout, target: OneDNNLayout) -> None:
        engine = library().engine
        descriptor = library().make("reorder_primitive_desc_create", source.handle, engine, target.handle, engine, None)
        self._primitive = Primitive(descriptor, {dnn.SRC: source.handle, dnn.DST: target.handle})

    def run(self, source: int, target: int) -> None:
        """Copy from one address to the other."""
        self._primitive.run(source, target)


_reorders: dict[tuple[OneDNNLayout, OneDNNLayout, bool], Reorder] = {}


def reorder(source: OneDNNLayout, target: OneDNNLayout) -> Reorder:
    """The copy from one layout of a shape to another."""
    key = source, target, is_forked()
    found = _reorders.get(key)
    if found is None:
        found = _reorders[key] = Reorder(source, target)
    return found
