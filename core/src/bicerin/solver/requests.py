"""What a signal handler or another thread asks of a running solver, to be taken up between two iterations."""

from __future__ import annotations


class Requests:
    """Each request is taken once."""

    def __init__(self) -> None:
        self._stop = False
        self._snapshot = False

    def stop(self) -> None:
        """Ask for the end of the training."""
        self._stop = True

    def snapshot(self) -> None:
        """Ask for a snapshot."""
        self._snapshot = True

    def take(self) -> tuple[bool, bool]:
        """Whether a stop and whether a snapshot has been asked for since this was last called."""
        # Each is set back in the statement that reads it, since a signal may come between any two.
        stop, self._stop = self._stop, False
        snapshot, self._snapshot = self._snapshot, False
        return stop, snapshot
