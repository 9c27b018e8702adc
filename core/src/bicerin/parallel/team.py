"""The ranks of a run that is no training: a test, or features that are extracted."""

from __future__ import annotations

from bicerin.parallel.communicator import Communicator
from bicerin.parallel.ranks import Ranks
from bicerin.parallel.watchdog import Watchdog, processes_of


class Team(Ranks):
    """While it is entered as a context, a rank that has ended is named, and the others are ended; a slow one may take
    as long as it likes. Every method is called on all ranks, in the same order.

    Args:
        communicator: the ranks.
    """

    def __init__(self, communicator: Communicator) -> None:
        super().__init__(communicator)
        self._watchdog = Watchdog(communicator, self.progress, 0, processes_of(communicator))

    def __enter__(self) -> Team:
        self.progress.here()
        self._watchdog.__enter__()
        return self

    def __exit__(self, *exception: object) -> None:
        self._watchdog.__exit__(*exception)

    def share(self, data: bytes) -> bytes:
        """What rank 0 gives, on all."""
        with self.progress.waiting("what rank 0 says"):
            return self.communicator.share(data)
