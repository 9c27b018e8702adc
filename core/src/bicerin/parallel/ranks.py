"""What the ranks of a run tell each other, with what each waits for, for a watchdog to say."""

from __future__ import annotations

import numpy as np

from bicerin.parallel.communicator import Communicator
from bicerin.parallel.progress import Progress


class Ranks:
    """Every method is called on all ranks, in the same order.

    Args:
        communicator: the ranks.

    Attributes:
        communicator: as given.
        progress: what this rank does at present.
    """

    def __init__(self, communicator: Communicator) -> None:
        self.communicator = communicator
        self.progress = Progress()

    @property
    def rank(self) -> int:
        return self.communicator.rank

    @property
    def size(self) -> int:
        return self.communicator.size

    def all_gather(self, data: bytes) -> list[bytes]:
        """What each rank gives, in the order of ranks, on all."""
        with self.progress.waiting("the ranks' results"):
            return self.communicator.all_gather(data)

    def sum(self, array: np.ndarray) -> None:
        """Put the sum over the ranks in the place of an array."""
        with self.progress.waiting("the ranks' results"):
            self.communicator.all_reduce(array)

    def total(self, value: float) -> float:
        """The sum over the ranks."""
        array = np.array([value], np.float64)
        self.sum(array)
        return float(array[0])
