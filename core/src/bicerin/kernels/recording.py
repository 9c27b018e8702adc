"""Recording: the calls of native functions that a layer's forward pass makes, for one who wants to make them again."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

#: A function without arguments that computes the same thing, from and to the same memory, each time; 0 where it could.
Call = Callable[[], int]


class Recording(threading.local):
    """Of this thread.

    Attributes:
        calls: those that were made since somebody began to record; None where nobody does. Who makes one appends it.
    """

    calls: list[Call] | None = None

    @contextmanager
    def paused(self) -> Iterator[None]:
        """For calls that are made once, and not in every pass."""
        calls, self.calls = self.calls, None
        try:
            yield
        finally:
            self.calls = calls


recording = Recording()
