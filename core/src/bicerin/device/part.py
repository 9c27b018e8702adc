"""Part: a memory that lies within another one."""

from __future__ import annotations

import numpy as np

from bicerin.device.memory import Layout, Memory, Room, moves

#: Bytes of a line of the cache, where rooms start.
_LINE = 64


class Part(Memory):
    """Some elements of another memory, which knows by itself whether its values are in rows or in a layout.

    Neither memory knows what is written by way of the other: the values are in this one, or in all of the other one,
    by turns, as those who use them have planned.

    Args:
        whole: the other memory, on the host.
        start: the first of the elements there.
        size: how many.

    Attributes:
        whole: the memory; where that is a part itself, the one in which it lies.
        start: the first of the elements in that.
    """

    __slots__ = ("_room_of", "start", "whole")

    def __init__(self, whole: Memory, start: int, size: int) -> None:
        super().__init__(size, whole.dtype, whole.device)
        self.whole, first = place(whole)
        self.start = first + start
        #: The whole's room of which `_room` is some; None where it is a room of this memory's own.
        self._room_of: Room | None = None

    @property
    def nbytes(self) -> int:
        """Bytes allocated besides those of the whole."""
        return self._room.array.nbytes if self._room is not None and self._room_of is None else 0

    def _new_rows(self, cleared: bool = True) -> np.ndarray:
        moves.number += 1
        return self.whole.rows_for_parts()[self.start : self.start + self.size]

    def _room_for(self, layout: Layout) -> Room:
        start, nbytes = self.start * self.dtype.itemsize, self.size * self.dtype.itemsize
        if layout.nbytes > nbytes or start % _LINE:  # it does not fit there
            if self._room_of is not None or self._room is None or self._room.array.nbytes < layout.nbytes:
                self._room, self._room_of = Room(layout.nbytes), None
        else:
            whole = self.whole.room_for_parts(start + nbytes)
            if self._room is None or self._room_of is not whole:
                self._room, self._room_of = whole.part(start, nbytes), whole
        assert self._room is not None
        self._layout = layout
        return self._room


def place(memory: Memory) -> tuple[Memory, int]:
    """The memory in which this one lies, or itself, and its first element there."""
    return (memory.whole, memory.start) if isinstance(memory, Part) else (memory, 0)
