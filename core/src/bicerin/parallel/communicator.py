"""The contract of what connects the processes of a run, each of which is a rank from 0 to `size - 1`.

A communicator is found by name through the entry-point group `bicerin.communicators`. The value is a function without
arguments that connects this process with the others and returns a `Communicator`:

    [project.entry-points."bicerin.communicators"]
    mpi = "bicerin_mpi.communicator:connect"

Everything but `abort`, `send` and `receive` is collective: every rank calls the same methods in the same order, from
one thread. What waits must let Python's signal handlers run now and then, as `Pending.wait` does.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, NoReturn

import numpy as np

from bicerin.device.device import Device
from bicerin.discovery.registry import BrokenPluginError, Provider, Registry
from bicerin.errors import ParallelError

#: For how many seconds a wait only looks, before it sleeps between looks, and for how long it sleeps.
_SPIN, _NAP = 0.002, 0.0002


class Pending(ABC):
    """Something that was started and will be done."""

    @abstractmethod
    def done(self) -> bool:
        """Whether it is. Called again and again, also to let it make progress; after True, not again."""

    def wait(self) -> None:
        """Return when it is done; other processes get the processor meanwhile."""
        spin_until = time.perf_counter() + _SPIN
        while not self.done():
            time.sleep(0 if time.perf_counter() < spin_until else _NAP)


class Communicator(ABC):
    """Connects this process with the others of a run.

    Attributes:
        rank, size: which process this is, and of how many.
        local_rank, local_size: the same, of the processes on this machine alone.
        machine: the name of this machine, for messages.
        can_message: whether `send` and `receive` work here.
    """

    rank: int
    size: int
    local_rank: int
    local_size: int
    machine: str = ""
    can_message: bool = False

    @abstractmethod
    def broadcast(self, array: Any, root: int = 0) -> None:
        """Give an array of one rank to all: theirs, of the same shape and dtype, is overwritten.

        Args:
            array: contiguous, of the host, or of a device that `takes` says yes to.
        """

    @abstractmethod
    def start_all_reduce(self, array: Any) -> Pending:
        """Begin to replace an array by the sum over all ranks, element by element.

        It is the same on every rank, bit for bit, and the same in each run of as many ranks on the same machines.

        Args:
            array: contiguous, float64, float32 or float16, of the host, or of a device that `takes` says yes to.
                Nobody else may read or write it until the result is `done`.
        """

    @abstractmethod
    def gather(self, data: bytes, root: int = 0) -> list[bytes]:
        """The bytes that each rank gives, in the order of ranks, on the rank `root`; an empty list on the others."""

    @abstractmethod
    def abort(self, status: int = 1) -> NoReturn:
        """End all processes of the run at once, this one too. Called from any thread, at any moment."""

    def send(self, rank: int, data: bytes) -> None:
        """Send a short message, without waiting for anything; called from any thread. Only where `can_message`."""
        raise NotImplementedError(f"{type(self).__qualname__} has can_message, but neither sends nor receives.")

    def receive(self) -> tuple[int, bytes] | None:
        """The next message that has come, with the rank that sent it; None where there is none. Called from any thread,
        and does not wait. Only where `can_message`.
        """
        raise NotImplementedError(f"{type(self).__qualname__} has can_message, but neither sends nor receives.")

    def takes(self, device: Device) -> bool:
        """Whether arrays of a device can be given as they are; others are copied to the host before.

        Ranks ask for devices of the same kind, together, and all get the same answer.
        """
        return device.is_host

    def close(self) -> None:
        """Part from the others in good order; called on all ranks."""

    # Made of the above

    def all_reduce(self, array: Any) -> None:
        """As `start_all_reduce`, and wait."""
        self.start_all_reduce(array).wait()

    def share(self, data: bytes, root: int = 0) -> bytes:
        """The bytes of one rank, on all; what the others give does not count."""
        length = np.array([len(data)], np.int64)
        self.broadcast(length, root)
        buffer = np.zeros(int(length[0]), np.uint8)
        if self.rank == root:
            buffer[:] = np.frombuffer(data, np.uint8)
        if buffer.size:
            self.broadcast(buffer, root)
        return buffer.tobytes()

    def all_gather(self, data: bytes) -> list[bytes]:
        """The bytes that each rank gives, in the order of ranks, on all of them."""
        found = self.gather(data)
        lengths = np.array([len(one) for one in found] or [0] * self.size, np.int64)
        self.broadcast(lengths)
        whole = self.share(b"".join(found))
        ends = np.cumsum(lengths).tolist()
        return [whole[end - length : end] for end, length in zip(ends, lengths.tolist(), strict=True)]

    def __repr__(self) -> str:
        return f"{type(self).__name__}(rank {self.rank} of {self.size}{f', {self.machine}' if self.machine else ''})"


def _check(provider: Provider, target: Any) -> None:
    if not callable(target):
        raise BrokenPluginError(
            f'{provider}: what it brings for the communicator "{provider.name}" is not a function that connects.'
        )


communicators = Registry("bicerin.communicators", "communicator", {"mpi": "bicerin-mpi"}.get, _check)


def connect(name: str) -> Communicator:
    """Connect this process with the others of its run.

    Args:
        name: of the communicator, such as "mpi".

    Raises:
        UnknownNameError: no installed distribution brings it.
        ParallelError: the process is not one of several, or cannot be connected with them.
    """
    communicator = communicators.load(name)()
    if not isinstance(communicator, Communicator):
        raise ParallelError(
            f'{communicators.provider(name)}: the communicator "{name}" is a {type(communicator).__name__}, and not a '
            "bicerin.parallel.Communicator."
        )
    return communicator


def rank_list(ranks: Sequence[int]) -> str:
    """Ranks for a message: `rank 2`, `ranks 1, 2 and 5`."""
    if len(ranks) == 1:
        return f"rank {ranks[0]}"
    return f"ranks {', '.join(map(str, ranks[:-1]))} and {ranks[-1]}"
