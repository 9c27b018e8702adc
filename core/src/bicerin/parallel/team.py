"""The ranks of a run that is no training: a test, or features that are extracted."""

from __future__ import annotations

import numpy as np

from bicerin.parallel.communicator import Communicator
from bicerin.parallel.progress import Progress
from bicerin.parallel.watchdog import Watchdog, processes_of


class Team:
    """While it is entered as a context, a rank that has ended is named, and the others are ended; a slow one may take
    as long as it likes. Every method is called on all ranks, in the same order.

    Args:
        communicator: the ranks.
    """

    def __init__(self, communicator: Communicator) -> None:
        self._communicator = communicator
        self._progress = Progress()
        self._watchdog = Watchdog(communicator, self._progress, 0, processes_of(communicator))

    def __enter__(self) -> Team:
        self._progress.here()
        self._watchdog.__enter__()
        return self

    def __exit__(self, *exception: object) -> None:
        self._watchdog.__exit__(*exception)

    @property
    def rank(self) -> int:
        return self._communicator.rank

    @property
    def size(self) -> int:
        return self._communicator.size

    def all_gather(self, data: bytes) -> list[bytes]:
        """What each rank gives, in the order of ranks, on all."""
        with self._progress.waiting("the ranks' results"):
            return self._communicator.all_gather(data)

    def share(self, data: bytes) -> bytes:
        """What rank 0 gives, on all."""
        with self._progress.waiting("what rank 0 says"):
            return self._communicator.share(data)

    def sum(self, array: np.ndarray) -> None:
        """Put the sum over the ranks in the place of an array."""
        with self._progress.waiting("the ranks' results"):
            self._communicator.all_reduce(array)

    def total(self, value: float) -> float:
        """The sum over the ranks."""
        array = np.array([value], np.float64)
        self.sum(array)
        return float(array[0])
