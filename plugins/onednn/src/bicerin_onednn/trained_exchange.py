"""How values and gradients are handed on in oneDNN's layouts in training: once in memory, as who wrote them had them.

What a primitive, or the layer's own code, needs in another order goes into scratch memory that all layers share. The
gradient of a blob is written in the layout of its values.
"""

from __future__ import annotations

import threading
from math import prod

import numpy as np

from bicerin.device import Memory, Room
from bicerin_convolution import workspace
from bicerin_onednn.exchange import present_layout, written
from bicerin_onednn.layout import OneDNNLayout, address, reorder, rows_of


class _Scratch(threading.local):
    """Rooms by what they are for, in each thread that runs nets."""

    def __init__(self) -> None:
        self.rooms: dict[str, Room] = {}


_scratch = _Scratch()


def scratch(purpose: str, nbytes: int) -> Room:
    """Memory of at least so many bytes, which the next caller with this purpose gets too."""
    room = _scratch.rooms.get(purpose)
    if room is None or room.array.nbytes < nbytes:
        room = _scratch.rooms[purpose] = Room(nbytes)
    return room


def release() -> None:
    """Give back this thread's scratch memory, ours and that of the layers' own code."""
    _scratch.rooms.clear()
    workspace.release()


def rows_in(room: Room, shape: tuple[int, ...]) -> np.ndarray:
    """A room as an array of float32 in rows."""
    return room.array[: 4 * prod(shape)].view(np.float32).reshape(shape)


def is_arranged(memory: Memory) -> bool:
    """Whether the values are in one of the library's layouts."""
    return isinstance(memory.layout, OneDNNLayout)


def read_in(memory: Memory, layout: OneDNNLayout, purpose: str) -> int:
    """The address of the values in a layout, to read: where they are, or of a copy in scratch memory."""
    present = present_layout(memory, layout.shape)
    if present is layout and not layout.is_rows:
        return memory.arranged().address
    if layout.is_rows and not is_arranged(memory):
        return address(memory.host_array(write=False))
    room = scratch(purpose, layout.nbytes)
    source = address(memory.host_array(write=False)) if present.is_rows else memory.arranged().address
    reorder(present, layout).run(source, room.address)
    return room.address


def read_rows(memory: Memory, shape: tuple[int, ...], purpose: str) -> np.ndarray:
    """The values in rows, to read."""
    present = present_layout(memory, shape)
    if present.is_rows:
        return memory.host_array(write=False)[: prod(shape)].reshape(shape)
    room = scratch(purpose, 4 * prod(shape))
    reorder(present, rows_of(shape)).run(memory.arranged().address, room.address)
    return rows_in(room, shape)


def rows_to_write(memory: Memory, shape: tuple[int, ...], layout: OneDNNLayout | None, purpose: str) -> np.ndarray:
    """Rows for one whose results go to a memory; in a layout if there is one. To be followed by `rows_written`."""
    if layout is None or layout.is_rows:
        return memory.host_array()[: prod(shape)].reshape(shape)
    return rows_in(scratch(purpose, 4 * prod(shape)), shape)


def rows_written(memory: Memory, rows: np.ndarray, layout: OneDNNLayout | None) -> None:
    if layout is not None and not layout.is_rows:
        reorder(rows_of(rows.shape), layout).run(address(rows), memory.arrange(layout).address)
        written(memory)
