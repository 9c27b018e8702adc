"""How layers hand values on in oneDNN's layouts, so that those which agree copy nothing."""

from __future__ import annotations

from bicerin.device import Memory, Room
from bicerin_onednn.layout import OneDNNLayout, address, reorder, rows_of


class Reader:
    """One bottom of a layer, as a primitive reads it.

    Args:
        layout: that the primitive reads.
    """

    def __init__(self, layout: OneDNNLayout) -> None:
        self.layout = layout
        self._copy: Room | None = None

    def address(self, memory: Memory) -> int:
        """Where the memory's values are in the layout, after copying them into it if they are not."""
        layout = self.layout
        present = memory.layout
        if present is layout:
            return memory.arranged().address
        if layout.is_rows:
            return address(memory.host_array(write=False))
        if isinstance(present, OneDNNLayout) and present.shape == layout.shape:
            copy = self._room()
            reorder(present, layout).run(memory.arranged().address, copy.address)
            return copy.address
        rows = memory.host_array(write=False)
        room = memory.also_arrange(layout) if memory.may_be_arranged else self._room()
        reorder(rows_of(layout.shape), layout).run(address(rows), room.address)
        return room.address

    def _room(self) -> Room:
        if self._copy is None:
            self._copy = Room(self.layout.nbytes)
        return self._copy


def present_layout(memory: Memory, shape: tuple[int, ...]) -> OneDNNLayout:
    """The layout in which the memory's values of this shape are now."""
    layout = memory.layout
    return layout if isinstance(layout, OneDNNLayout) and layout.shape == shape else rows_of(shape)


def place_to_write(memory: Memory, layout: OneDNNLayout) -> int:
    """Where a primitive writes all the memory's values in the layout. To be followed by `written`."""
    return address(memory.host_array()) if layout.is_rows else memory.arrange(layout).address


def written(memory: Memory) -> None:
    """Put what was written in rows where somebody has an array of them."""
    if not memory.may_be_arranged:
        memory.host_array()
