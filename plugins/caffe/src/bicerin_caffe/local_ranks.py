"""A communicator of processes of one machine, which find each other through a folder: what `caffe.NCCL` runs over.

Rank 0 listens on a socket in the folder, and adds up what the others send. Nothing but the standard library is needed,
and no program that starts the processes.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import sys
import tempfile
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from bicerin.errors import ParallelError
from bicerin.parallel import Communicator, Pending

#: For how many seconds the others are waited for at the start.
_PATIENCE = 120.0


def new_meeting() -> str:
    """A name that nobody else has, for processes of this user to meet at: a folder."""
    return tempfile.mkdtemp(prefix="bicerin-ranks-")


class LocalRanks(Communicator):
    """Processes that were given the same meeting, each its rank.

    Raises:
        ParallelError: they do not all come.
    """

    def __init__(self, meeting: str, rank: int, size: int) -> None:
        self.rank = self.local_rank = rank
        self.size = self.local_size = size
        self.machine = socket.gethostname()
        #: To rank 0, or on rank 0 to each of the others, by rank.
        self._ways: dict[int, Connection[Any, Any]] = {}
        path = Path(meeting) / "ranks"
        if rank == 0:
            self._receive_others(path)
            shutil.rmtree(meeting, ignore_errors=True)
        else:
            self._go_to_root(path)

    def _receive_others(self, path: Path) -> None:
        with socket.socket(socket.AF_UNIX) as listening:
            try:
                listening.bind(str(path))
                listening.listen(self.size)
                while len(self._ways) < self.size - 1:
                    listening.settimeout(_PATIENCE)
                    way = Connection(listening.accept()[0].detach())
                    self._ways[int(way.recv_bytes())] = way
            except TimeoutError:
                missing = sorted(set(range(1, self.size)) - set(self._ways))
                raise ParallelError(
                    f"NCCL: the ranks {missing} of {self.size} did not come in {_PATIENCE:g} s."
                ) from None
            except OSError as error:
                raise ParallelError(f"NCCL: {path} is no place to meet: {error}. new_uid() makes one.") from None

    def _go_to_root(self, path: Path) -> None:
        until = time.monotonic() + _PATIENCE
        while True:
            way = socket.socket(socket.AF_UNIX)
            try:
                way.connect(str(path))
                break
            except OSError as error:
                way.close()
                if time.monotonic() > until:
                    raise ParallelError(f"NCCL: rank 0 did not come to {path} in {_PATIENCE:g} s: {error}.") from None
                time.sleep(0.02)
        self._ways[0] = Connection(way.detach())
        self._ways[0].send_bytes(str(self.rank).encode())

    @contextlib.contextmanager
    def _named(self, rank: int) -> Any:
        try:
            yield self._ways[rank]
        except (EOFError, OSError):
            raise ParallelError(f"NCCL: rank {rank} has ended; the others cannot go on without it.") from None

    def _send(self, rank: int, data: Any) -> None:
        with self._named(rank) as way:
            way.send_bytes(data)

    def _receive_into(self, rank: int, array: np.ndarray) -> None:
        with self._named(rank) as way:
            way.recv_bytes_into(array.reshape(-1).view(np.uint8))

    def broadcast(self, array: np.ndarray, root: int = 0) -> None:
        if root and self.rank in (0, root):
            if self.rank:
                self._send(0, _bytes(array))
            else:
                self._receive_into(root, array)
        if self.rank:
            self._receive_into(0, array)
        else:
            for rank in sorted(self._ways):
                self._send(rank, _bytes(array))

    def start_all_reduce(self, array: np.ndarray) -> Pending:
        if self.rank:
            self._send(0, _bytes(array))
        else:
            other = np.empty_like(array)
            for rank in sorted(self._ways):
                self._receive_into(rank, other)
                array += other
        self.broadcast(array)
        return _Done()

    def gather(self, data: bytes, root: int = 0) -> list[bytes]:
        found = [data]
        if self.rank:
            self._send(0, data)
        else:
            for rank in sorted(self._ways):
                with self._named(rank) as way:
                    found.append(way.recv_bytes())
        if root == 0:
            return found if self.rank == 0 else []
        if self.rank == 0:
            for one in found:
                self._send(root, one)
        elif self.rank == root:
            with self._named(0) as way:
                return [way.recv_bytes() for _ in range(self.size)]
        return []

    def abort(self, status: int = 1) -> NoReturn:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(AttributeError, OSError, ValueError):  # there is none, or nobody who reads
                stream.flush()
        os._exit(status)  # the others notice it when they next need this one

    def close(self) -> None:
        for way in self._ways.values():
            way.close()


class _Done(Pending):
    def done(self) -> bool:
        return True


def _bytes(array: np.ndarray) -> Any:
    return array.reshape(-1).view(np.uint8)
