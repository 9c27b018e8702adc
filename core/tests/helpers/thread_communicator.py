"""Ranks that are threads of one process, and what a function returns on each."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Any, NoReturn

import numpy as np

from bicerin.parallel import Communicator, Pending


class Aborted(BaseException):
    """A rank has ended all."""


class Group:
    """What the ranks of one run share."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.turn = threading.Condition()
        #: The number of an operation -> what each rank brought to it.
        self.brought: dict[int, dict[int, Any]] = {}
        self.messages: list[deque[tuple[int, bytes]]] = [deque() for _ in range(size)]
        self.aborted_by: int | None = None

    def bring(self, operation: int, rank: int, value: Any) -> None:
        with self.turn:
            self.brought.setdefault(operation, {})[rank] = value

    def all_of(self, operation: int) -> list[Any] | None:
        with self.turn:
            if self.aborted_by is not None:
                raise Aborted(self.aborted_by)
            found = self.brought[operation]
            return [found[rank] for rank in range(self.size)] if len(found) == self.size else None


class _Brought(Pending):
    def __init__(self, group: Group, operation: int, then: Callable[[list[Any]], None]) -> None:
        self._group, self._operation, self._then = group, operation, then

    def done(self) -> bool:
        found = self._group.all_of(self._operation)
        if found is not None:
            self._then(found)
        return found is not None


class ThreadCommunicator(Communicator):
    """A rank that is a thread of this process."""

    machine = "here"
    can_message = True

    def __init__(self, group: Group, rank: int) -> None:
        self._group, self.rank, self.size = group, rank, group.size
        self.local_rank, self.local_size = rank, group.size
        self._operation = 0

    def _start(self, value: Any, then: Callable[[list[Any]], None]) -> Pending:
        self._operation += 1
        self._group.bring(self._operation, self.rank, value)
        return _Brought(self._group, self._operation, then)

    def broadcast(self, array: np.ndarray, root: int = 0) -> None:
        def take(found: list[Any]) -> None:
            array[...] = found[root]

        self._start(array.copy(), take).wait()

    def start_all_reduce(self, array: np.ndarray) -> Pending:
        def take(found: list[Any]) -> None:
            array[...] = np.add.reduce(found, dtype=array.dtype)

        return self._start(array.copy(), take)

    def gather(self, data: bytes, root: int = 0) -> list[bytes]:
        result: list[bytes] = []
        self._start(data, result.extend).wait()
        return result if self.rank == root else []

    def send(self, rank: int, data: bytes) -> None:
        self._group.messages[rank].append((self.rank, data))

    def receive(self) -> tuple[int, bytes] | None:
        return self._group.messages[self.rank].popleft() if self._group.messages[self.rank] else None

    def abort(self, status: int = 1) -> NoReturn:
        self._group.aborted_by = self.rank
        raise Aborted(self.rank)


def on_ranks(size: int, function: Callable[[Communicator], Any]) -> list[Any]:
    """What a function returns on each rank; the first error of one is raised."""
    group = Group(size)
    results: list[Any] = [None] * size
    errors: list[BaseException] = []

    def run(rank: int) -> None:
        try:
            results[rank] = function(ThreadCommunicator(group, rank))
        except Aborted:
            pass
        except BaseException as error:
            errors.append(error)
            group.aborted_by = rank

    threads = [threading.Thread(target=run, args=(rank,)) for rank in range(size)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive(), "a rank does not end"
    if errors:
        raise errors[0]
    return results
