"""What a rank is doing: what it waits for, for how long it has waited in all, and where its layers are."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

from bicerin.net.node import Node
from bicerin_proto.quotation import printable

#: Functions of a node that run its layer -> what they do, in words.
_DOING = {
    Node.forward.__code__: "runs the forward pass of",
    Node.backward.__code__: "runs the backward pass of",
}


class Progress:
    """Kept by the thread that trains, and read by the watchdog's.

    Attributes:
        waiting_for: what is waited for; None while the rank computes.
        since: when the wait began, on the clock `time.monotonic`.
        waited: the seconds of all waits that are over.
        patient: whether what is waited for may take as long as it likes.
        busy: what the rank does, where that may take as long as it likes, such as writing a snapshot; None otherwise.
        leniency: how many times as long as usual the others may take now for what this rank waits for.
        moves: counts up as the rank goes on.
    """

    def __init__(self) -> None:
        self.waiting_for: str | None = None
        self.since = 0.0
        self.waited = 0.0
        self.patient = False
        self.busy: str | None = None
        self.leniency = 1.0
        self.moves = 0
        self._thread = threading.get_ident()

    def here(self) -> None:
        """From now on, the thread that calls this is the one that trains."""
        self._thread = threading.get_ident()

    @contextlib.contextmanager
    def waiting(self, what: str, patient: bool = False) -> Iterator[None]:
        """The rank waits for others within the block."""
        self.since = time.monotonic()
        self.patient = patient
        self.moves += 1
        self.waiting_for = what
        try:
            yield
        finally:
            self.waiting_for = None
            self.waited += time.monotonic() - self.since

    @contextlib.contextmanager
    def doing(self, what: str) -> Iterator[None]:
        """The rank does something within the block that the others wait for, however long it takes."""
        before, self.busy = self.busy, what
        try:
            yield
        finally:
            self.busy = before

    @contextlib.contextmanager
    def lenient(self, factor: float) -> Iterator[None]:
        """The others may take so many times as long as usual within the block."""
        before, self.leniency = self.leniency, factor
        try:
            yield
        finally:
            self.leniency = before

    def place(self) -> str:
        """Where the thread that trains is, in words that follow on the rank."""
        if self.waiting_for is not None:
            return f"waits for {self.waiting_for}"
        return self.busy or self._layer() or "is between two layers"

    def _layer(self) -> str:
        # Looked up when somebody asks, so that no layer takes longer for it.
        frame: Any = sys._current_frames().get(self._thread)
        while frame is not None:
            if frame.f_code in _DOING:
                return f'{_DOING[frame.f_code]} "{printable(frame.f_locals["self"].name)}"'
            frame = frame.f_back
        return ""
