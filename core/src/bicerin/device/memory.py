"""An array that lives on the host, on a device, or on both, and moves only when someone asks for the other side."""

from __future__ import annotations

import weakref
from abc import ABC, abstractmethod
from collections.abc import Sequence
from enum import Enum
from itertools import count
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from bicerin.device.device import Device


#: Where the versions of each memory start, so that no two memories ever have one.
_versions = count(0, 1 << 48)


class Changes:
    """How often something has happened in this process. Who has looked at many things may look at this number alone
    until it is another one.
    """

    __slots__ = ("number",)

    def __init__(self) -> None:
        self.number = 0


#: An array was given out to be written in a memory whose version somebody had noted, a blob with versions was given
#: another memory, or a layer got or lost its weight in the loss.
changes = Changes()

#: A blob got another shape or another memory, or a memory another array or room.
moves = Changes()


class State(Enum):
    """Where the valid copy of a `Memory` is."""

    UNINITIALIZED = "uninitialized"
    HOST = "host"
    #: On the host, and nobody has asked for it to write since someone asked for its version.
    NOTED = "noted"
    DEVICE = "device"
    SYNCED = "synced"
    #: On the host, zeros as soon as someone looks.
    CLEARED = "cleared"
    #: On the host in a layout of an engine's, not in rows.
    ARRANGED = "arranged"
    #: On the host both in rows and in such a layout.
    BOTH = "both"


class Layout(ABC):
    """Another order of an array's elements in memory, such as blocks of channels; one object for one shape and order.

    Attributes:
        nbytes: that the array takes in it.
    """

    nbytes: int

    @abstractmethod
    def to_rows(self, room: Room, rows: np.ndarray) -> None:
        """Copy an array in this layout into one in rows, which may have elements to spare."""

    def side_by_side(
        self, shape: tuple[int, ...], shapes: Sequence[tuple[int, ...]]
    ) -> tuple[Layout, Sequence[Layout]] | None:
        """Layouts in which arrays, of which one is in this layout, lie one after the other in a whole one.

        Args:
            shape: of the whole; in rows the others lie so in it.
            shapes: of the others.

        Returns:
            The whole's layout and those of the others, without padding; None where there are none.
        """
        return None

    def fill(self, room: Room, source: Memory) -> None:
        """Copy into a room, in this layout, what a memory has in rows or in another layout. For the layouts that
        `side_by_side` gives.
        """
        raise NotImplementedError(f"{type(self).__qualname__} gives layouts side by side, but does not fill them.")


class Room:
    """Memory for an array in a layout, not cleared, that starts where a vector and a line of the cache do.

    Args:
        nbytes: how much, or more.

    Attributes:
        array: it, `(nbytes,)` of uint8.
        address: where it starts.
    """

    __slots__ = ("address", "array")

    #: How many there have been in this process.
    made = 0

    def __init__(self, nbytes: int) -> None:
        Room.made += 1
        moves.number += 1
        whole = np.empty(nbytes + 64, np.uint8)
        start = -whole.ctypes.data % 64
        self.array = whole[start : start + nbytes]
        self.address = whole.ctypes.data + start

    def part(self, start: int, nbytes: int) -> Room:
        """Some of it, from byte `start` on."""
        found = Room.__new__(Room)
        Room.made += 1
        moves.number += 1
        found.array = self.array[start : start + nbytes]
        found.address = self.address + start
        return found


class Memory:
    """`size` elements of `dtype`, allocated (as zeros) when first touched.

    A blob's data is one Memory and its diff another; blobs that share data share the Memory.

    Args:
        size: number of elements, 0 or more.
        dtype: float32 or float64 for blobs; any NumPy dtype works.
        device: the device that `device_array` allocates on.
    """

    __slots__ = (
        "_adopted",
        "_device_array",
        "_host_array",
        "_layout",
        "_lent",
        "_room",
        "_version",
        "device",
        "dtype",
        "passes",
        "size",
        "state",
        "versioned",
    )

    def __init__(self, size: int, dtype: np.dtype, device: Device) -> None:
        self.size = size
        self.dtype = dtype
        self.device = device
        self.state = State.UNINITIALIZED
        #: Each of the two is None until it is first needed.
        self._host_array: Any = None
        self._device_array: Any = None
        self._version = next(_versions)
        #: Whether every array that is given out to be written is a lent one, as `version` needs it from the start on.
        self.versioned = False
        #: Whether blobs take turns in it, so that the values of one are gone when it is another's turn.
        self.passes = False
        self._lent: weakref.ref[np.ndarray] | None = None
        #: Whether the host's array is somebody else's.
        self._adopted = False
        self._room: Room | None = None
        self._layout: Layout | None = None

    @property
    def version(self) -> int | None:
        """A number that is another one once the host's values may have been written; None where that cannot be known.

        So it is while an array that was lent, or a view of it, is still in someone's hands, where not all arrays were
        lent, and where the values are on a device.
        """
        if not self.versioned or (self._lent is not None and self._lent() is not None):
            return None
        state = self.state
        if state is State.NOTED:
            return self._version
        if state is State.UNINITIALIZED:
            self.host_array()
        elif state is not State.HOST:
            return None
        self.state = State.NOTED
        self._version += 1
        return self._version

    def lent_array(self) -> np.ndarray:
        """The host copy to write, shape `(size,)`, for someone who may keep it."""
        host = self.host_array()
        array = self._lent() if self._lent is not None else None
        if array is None:
            # Views refer to the first array below them that is not a view of an array: to this one, not to `host`.
            array = np.asarray(host.data)
            self._lent = weakref.ref(array)
        return array

    def host_array(self, write: bool = True) -> np.ndarray:
        """The host copy, shape `(size,)`. With `write`, the device's copy is out of date from now on."""
        state = self.state
        if state is State.HOST:
            return self._host_array
        if state is State.NOTED:
            if write:
                self.state = State.HOST
                changes.number += 1
            return self._host_array
        if state is State.UNINITIALIZED:
            if self._host_array is None:
                self._host_array = self._new_rows()
            self.state = State.HOST
            return self._host_array
        if state is State.CLEARED:
            self.uncleared_host_array().fill(0)
            return self._host_array
        if self._host_array is None:
            self._host_array = self._new_rows(cleared=False)
        if state is State.DEVICE:
            self.device.to_host(self._device_array, self._host_array)
            self.state = State.SYNCED
        elif state is State.ARRANGED:
            assert self._layout is not None and self._room is not None
            self._layout.to_rows(self._room, self._host_array)
            self.state = State.BOTH
        if write:
            self.state = State.HOST
        return self._host_array

    def device_array(self, write: bool = True) -> Any:
        """The device's copy, shape `(size,)`. With `write`, the host copy is out of date from now on."""
        state = self.state
        if state is State.DEVICE:
            return self._device_array
        if state in (State.CLEARED, State.ARRANGED, State.BOTH):
            self.host_array()
            state = self.state
        if state is State.UNINITIALIZED:
            if self._device_array is None:
                self._device_array = self.device.zeros(self.size, self.dtype)
            self.state = State.DEVICE
            return self._device_array
        if state is State.HOST or state is State.NOTED:
            if self._device_array is None:
                self._device_array = self.device.empty(self.size, self.dtype)
            self.device.from_host(self._host_array, self._device_array)
            self.state = State.SYNCED
        if write:
            self.state = State.DEVICE
        return self._device_array

    def clear_host(self) -> None:
        """Make the host's copy the valid one, and all zeros: when it is next asked for, unless all of it is written."""
        if self._host_array is not None:
            self.state = State.CLEARED
        elif self.state is State.ARRANGED:
            self.state = State.UNINITIALIZED

    def uncleared_host_array(self) -> np.ndarray:
        """After `clear_host`: the host copy for one who writes the whole of it, and need not see the zeros."""
        assert self.state is State.CLEARED and self._host_array is not None
        self.state = State.HOST
        return self._host_array

    @property
    def may_be_arranged(self) -> bool:
        """Whether nobody has an array of the host's whose reads and writes this memory would not see."""
        return not self._adopted and (self._lent is None or self._lent() is None)

    @property
    def layout(self) -> Layout | None:
        """The layout in which the values are; None where they are in rows alone."""
        return self._layout if self.state in (State.ARRANGED, State.BOTH) else None

    def arranged(self) -> Room:
        """The values in `layout`, to read."""
        assert self._room is not None
        return self._room

    def arrange(self, layout: Layout) -> Room:
        """The same, for one who writes all of it: from now on the values are there alone. See `may_be_arranged`."""
        room = self._room_for(layout)
        self.state = State.ARRANGED
        return room

    def also_arrange(self, layout: Layout) -> Room:
        """The same, for one who copies the present values there, which then are in rows too. See `may_be_arranged`."""
        self.host_array(write=False)
        room = self._room_for(layout)
        self.state = State.BOTH
        return room

    def prefer_rows(self) -> None:
        """Take the values in rows for the only ones, where they are in a layout too."""
        if self.state is State.BOTH:
            self.state = State.HOST

    @property
    def stores(self) -> tuple[Any, Room | None]:
        """The host's array in rows and the room for layouts, as they are allocated at present."""
        return self._host_array, self._room

    def filled(self, layout: Layout | None) -> None:
        """All values have been written where they were before: in the layout, as after `arrange`, or in rows."""
        self._layout = layout
        self.state = State.HOST if layout is None else State.ARRANGED

    def forget(self) -> None:
        """Nobody will read the present values: who writes next need not have them in rows before."""
        if self.state is State.ARRANGED or self.state is State.BOTH:
            self.state = State.HOST if self._host_array is not None else State.UNINITIALIZED

    def rows_for_parts(self) -> np.ndarray:
        """The host's array, `(size,)`, for memories that are parts of this one; whatever is in it."""
        if self._host_array is None:
            self._host_array = self._new_rows()
        return self._host_array

    def room_for_parts(self, end: int) -> Room:
        """The room for memories that are parts of this one, of which one ends at byte `end`; whatever is in it."""
        if self._room is None or self._room.array.nbytes < end:
            self._room = Room(self.size * self.dtype.itemsize)
        return self._room

    def _new_rows(self, cleared: bool = True) -> np.ndarray:
        """An array for the memory to keep."""
        moves.number += 1
        return np.zeros(self.size, self.dtype) if cleared else np.empty(self.size, self.dtype)

    def _room_for(self, layout: Layout) -> Room:
        room = self._room
        if room is None or room.array.nbytes < layout.nbytes:
            room = self._room = Room(layout.nbytes)
        self._layout = layout
        return room

    @property
    def is_held(self) -> bool:
        """Whether somebody holds the array that was lent, or a view of it."""
        return self._lent is not None and self._lent() is not None

    def take(self, other: Memory) -> None:
        """Take the values of another memory of this size and dtype on the host, which has no right values afterwards.

        Nothing is copied, unless somebody has an array of either.
        """
        plain = all(one.may_be_arranged and not one.versioned and one.device.is_host for one in (self, other))
        if not plain or self.size != other.size or self.dtype != other.dtype:
            self.host_array()[: other.size] = other.host_array(write=False)
            return
        moves.number += 1
        for name in ("_host_array", "_room", "_layout", "state"):
            mine, others = getattr(self, name), getattr(other, name)
            setattr(self, name, others)
            setattr(other, name, mine)

    def use_host_array(self, array: np.ndarray) -> None:
        """Adopt the caller's contiguous 1-d array as the host copy; writes go to it from now on."""
        moves.number += 1
        self._host_array = array
        self._adopted = True
        self._lent, self.versioned = None, False
        self.state = State.HOST

    def exchange(self, array: np.ndarray) -> np.ndarray:
        """Take the values of the caller's contiguous 1-d array, with its memory if that is possible.

        Returns:
            An array of the same size, the caller's from now on: the one that was given if its values were copied, since
            somebody holds the array that was lent, or this memory has another size. Otherwise the one that was the host
            copy; views of it, to read only, may still be in someone's hands.
        """
        is_lent = self._lent is not None and self._lent() is not None
        had = self._host_array
        if had is None or is_lent or self.versioned or array.size != self.size or array.dtype != self.dtype:
            self.host_array()[: array.size] = array
            return array
        moves.number += 1
        self._host_array, self._lent = array, None
        self.state = State.HOST
        return had

    @property
    def on_device(self) -> bool:
        """Whether the device's copy is valid."""
        return self.state in (State.DEVICE, State.SYNCED)

    @property
    def nbytes(self) -> int:
        """Bytes allocated on the host and on the device together."""
        sides = (self._host_array is not None) + (self._device_array is not None)
        arranged = self._room.array.nbytes if self._room is not None else 0
        return sides * self.size * self.dtype.itemsize + arranged
