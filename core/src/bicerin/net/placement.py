"""Blobs that lie in the memory of another one, of which they are parts, and the layer that joins or cuts them.

The layer's part: `PutsSideBySide`. Which parts lie where is planned in `shared_memory`.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import accumulate
from typing import Any

import numpy as np

from bicerin.device.memory import Layout, Memory, Room
from bicerin.device.part import place
from bicerin.kernels.recording import recording
from bicerin.layer.abilities import Repetition
from bicerin.layer.blob import Blob

#: Parts that are not to lie in the whole: the place of the layer in the pass, and the part's among its own.
Refused = set[tuple[int, int]]

#: The layout of the whole and those of the parts in it.
Layouts = tuple[Layout, Sequence[Layout]]


class Placement:
    """The forward pass of a layer, some of whose parts lie in the whole: only the others are copied.

    Where the shapes are others than those planned for, the layer copies all as it does without.

    Args:
        layer: the layer.
        bottom, top: its blobs.
        index: its place in the pass.
        refused: what is not to be a part in the next plan; this adds to it.

    Attributes:
        ran_last: whether the last pass was this one's, and not the layer's own.
    """

    def __init__(self, layer: Any, bottom: Sequence[Blob], top: Sequence[Blob], index: int, refused: Refused) -> None:
        self._layer, self._index, self._refused = layer, index, refused
        self._whole, self._parts = layer.side_by_side(bottom, top)
        self._joins = any(self._whole is blob for blob in top)
        self._shapes = [blob.shape for blob in (self._whole, *self._parts)]
        self._sizes = [blob.count for blob in self._parts]
        self._starts = [0, *accumulate(self._sizes)]
        self._layouts: dict[tuple[Layout | None, ...], Layouts | None] = {}
        #: The room of the whole, and that of each part in it.
        self._rooms: tuple[Room, list[Room]] | None = None
        self.ran_last = False

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        """Do what the layer's `forward` does."""
        parts = [blob.memory[0] for blob in self._parts]
        there = self._there(parts)
        self.ran_last = there is not None
        if there is None:
            self._layer.forward(_apart(bottom, top), top)
        elif self._joins:
            self._join(self._whole.memory[0], parts, there)
        else:
            self._cut(self._whole.memory[0], parts, there)

    def repetition(self) -> Repetition:
        """On what the calls of the last pass depend, if `ran_last`."""
        return Repetition(keeps=[self._rooms])

    def _there(self, parts: Sequence[Memory]) -> list[bool] | None:
        """For each part whether it lies where it belongs; None where this one cannot do anything."""
        if [blob.shape for blob in (self._whole, *self._parts)] != self._shapes:
            return None
        memory, first = place(self._whole.memory[0])
        places = [place(part) for part in parts]
        there = [found == (memory, first + start) for found, start in zip(places, self._starts, strict=False)]
        elsewhere = any(found[0] is memory and not right for found, right in zip(places, there, strict=True))
        return there if any(there) and not elsewhere else None

    def _join(self, whole: Memory, parts: Sequence[Memory], there: Sequence[bool]) -> None:
        layouts = self._layouts_in_common(parts, there)
        if layouts is None:
            whole.forget()
            rows = whole.host_array()
            for part, right, start, size in zip(parts, there, self._starts, self._sizes, strict=False):
                values = part.host_array(write=False)
                if not right:
                    _copy(values[:size], rows[start : start + size])
            return
        room = whole.arrange(layouts[0])
        for part, layout, target in zip(parts, layouts[1], self._rooms_in(room, layouts[1]), strict=True):
            if part.layout is not layout:
                layout.fill(target, part)
            elif part.arranged().address != target.address:
                _copy(part.arranged().array[: layout.nbytes], target.array)

    def _layouts_in_common(self, parts: Sequence[Memory], there: Sequence[bool]) -> Layouts | None:
        """Layouts for the whole and all parts, where those that are there have them; None for rows."""
        present = tuple([part.layout for part in parts])
        if not any(present):
            return None
        if present not in self._layouts:
            self._layouts[present] = self._find_layouts(present)
        found = self._layouts[present]
        wanted = found[1] if found is not None else [None] * len(parts)
        # What its maker has in another layout would have to be copied within one memory.
        wrong = [
            number
            for number, (layout, other, right) in enumerate(zip(present, wanted, there, strict=True))
            if right and layout is not other and layout is not None
        ]
        self._refused.update((self._index, number) for number in wrong)
        return None if wrong else found

    def _find_layouts(self, present: Sequence[Layout | None]) -> Layouts | None:
        shape, *shapes = self._shapes
        for layout in present:
            found = layout.side_by_side(shape, shapes) if layout is not None else None
            if found is not None:
                return found
        return None

    def _cut(self, whole: Memory, parts: Sequence[Memory], there: Sequence[bool]) -> None:
        layout = whole.layout
        layouts = self._find_layouts([layout])
        if layouts is None or layouts[0] is not layout:
            rows = whole.host_array(write=False)
            for part, right, start, size in zip(parts, there, self._starts, self._sizes, strict=False):
                part.forget()
                target = part.host_array()
                if not right:
                    _copy(rows[start : start + size], target[:size])
            return
        for part, layout, source in zip(parts, layouts[1], self._rooms_in(whole.arranged(), layouts[1]), strict=True):
            room = part.arrange(layout)
            if room.address != source.address:
                _copy(source.array, room.array[: layout.nbytes])
            if not part.may_be_arranged:
                part.host_array()

    def _rooms_in(self, room: Room, layouts: Sequence[Layout]) -> list[Room]:
        if self._rooms is None or self._rooms[0] is not room:
            ends = list(accumulate(layout.nbytes for layout in layouts))
            self._rooms = (
                room,
                [room.part(end - layout.nbytes, layout.nbytes) for end, layout in zip(ends, layouts, strict=True)],
            )
        return self._rooms[1]


def _apart(bottom: Sequence[Blob], top: Sequence[Blob]) -> list[Blob]:
    """The bottoms, as copies where they lie in the memory of a top, which is about to be written."""
    written = {id(place(blob.memory[0])[0]) for blob in top}
    found = []
    for blob in bottom:
        if id(place(blob.memory[0])[0]) in written:
            copy = Blob(blob.shape, blob.dtype, blob.device, blob.name)
            copy.copy_from(blob)
            found.append(copy)
        else:
            found.append(blob)
    return found


def _copy(source: np.ndarray, target: np.ndarray) -> None:
    np.copyto(target, source)
    if recording.calls is not None:
        recording.calls.append(partial(_copy_again, source, target))


def _copy_again(source: np.ndarray, target: np.ndarray) -> int:
    np.copyto(target, source)
    return 0
