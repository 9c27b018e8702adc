"""Who has which of few rooms when: each needs one from a first step of a pass to a last one."""

from __future__ import annotations

from collections.abc import Sequence
from heapq import heappop, heappush
from typing import NamedTuple


class Life(NamedTuple):
    """From when to when something is needed, in steps of a pass, both included."""

    start: int
    end: int


def divide_rooms(lives: Sequence[Life], sizes: Sequence[int], *, exact: bool = False) -> tuple[list[int], list[int]]:
    """Rooms for all, of which no two are in one at the same time: of those that are free, the least that is large
    enough, or else the largest, which grows.

    Args:
        lives: when each needs one.
        sizes: how large, in elements.
        exact: whether a room is only for those of its size.

    Returns:
        The number of each one's room, and the sizes of the rooms.
    """
    rooms: list[int] = []
    room_of = [0] * len(lives)
    free: list[int] = []
    taken: list[tuple[int, int]] = []
    for index in sorted(range(len(lives)), key=lambda one: lives[one].start):
        need = sizes[index]
        while taken and taken[0][0] < lives[index].start:
            free.append(heappop(taken)[1])
        fitting = [room for room in free if (rooms[room] == need if exact else rooms[room] >= need)]
        if fitting:
            room = min(fitting, key=rooms.__getitem__)
        elif free and not exact:
            room = max(free, key=rooms.__getitem__)
        else:
            room = len(rooms)
            rooms.append(0)
            free.append(room)
        free.remove(room)
        rooms[room] = max(rooms[room], need)
        room_of[index] = room
        heappush(taken, (lives[index].end, room))
    return room_of, rooms
