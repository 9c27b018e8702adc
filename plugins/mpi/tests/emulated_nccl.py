"""Run by several ranks: `bicerin` with its arguments, and an NCCL for the arrays of the device `emulated`.

It does over MPI what CuPy 14's `cupy.cuda.nccl` does between GPUs, and as late as a GPU may: what is asked of a stream
begins when it is this call's turn, and ends when somebody has looked often enough. At the end each rank says how much
passed.
"""

from __future__ import annotations

import atexit
import ctypes
import sys
from collections import deque
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
from mpi4py import MPI

import bicerin_emulated.cupy
from bicerin.cli import main

_RANKS = MPI.COMM_WORLD.Dup()
counts = {"sums": 0, "broadcasts": 0}


class Stream:
    """What was asked of it and is not done yet: each a function that begins it, then the request under way."""

    ptr = 17

    def __init__(self, non_blocking: bool = False) -> None:
        assert non_blocking
        self._asked: deque[Any] = deque()
        self._done = 0
        streams[self.ptr] = self

    def ask(self, begin: Any) -> int:
        self._asked.append(begin)
        return self._done + len(self._asked)

    def go_on(self) -> int:
        """How much has been done."""
        if self._asked:
            if callable(self._asked[0]):
                self._asked[0] = self._asked[0]()
            elif self._asked[0].Test():
                self._asked.popleft()
                self._done += 1
        return self._done

    def wait_event(self, event: Event) -> None:
        assert event.recorded, "what is waited for was not recorded"

    def synchronize(self) -> None:
        assert not self._asked, "sums were left alone"


class Event:
    def __init__(self, disable_timing: bool = False) -> None:
        assert disable_timing
        self.recorded, self._stream, self._after = False, None, 0

    def record(self, stream: Any) -> None:
        self.recorded = True
        if isinstance(stream, Stream):
            self._stream, self._after = stream, stream.ask(lambda: MPI.REQUEST_NULL)

    @property
    def done(self) -> bool:
        return self._stream is None or self._stream.go_on() >= self._after


streams: dict[int, Stream] = {}


class NcclCommunicator:
    def __init__(self, ndev: int, commId: bytes, rank: int) -> None:
        assert (ndev, rank) == (_RANKS.Get_size(), _RANKS.Get_rank())
        assert len(commId) == 128 and len(set(_RANKS.allgather(commId))) == 1, "the id was not handed round"

    def allReduce(self, sendbuf: int, recvbuf: int, count: int, datatype: int, op: int, stream: int) -> None:
        assert sendbuf == recvbuf and op == nccl.NCCL_SUM
        counts["sums"] += 1
        array = memory(recvbuf, count, {6: np.float16, 7: np.float32, 8: np.float64}[datatype])
        streams[stream].ask(lambda: _RANKS.Iallreduce(MPI.IN_PLACE, array))

    def bcast(self, buff: int, count: int, datatype: int, root: int, stream: int) -> None:
        assert datatype == nccl.NCCL_UINT8
        counts["broadcasts"] += 1
        array = memory(buff, count, np.uint8)
        streams[stream].ask(lambda: _RANKS.Ibcast(array, root))

    def check_async_error(self) -> None:
        pass

    def destroy(self) -> None:
        print(f"{counts['sums']} sums and {counts['broadcasts']} broadcasts by NCCL")


def memory(pointer: int, count: int, dtype: Any) -> np.ndarray:
    size = count * np.dtype(dtype).itemsize
    return np.frombuffer((ctypes.c_char * size).from_address(pointer), dtype)


nccl: Any = ModuleType("nccl")
nccl.available = True
nccl.NcclCommunicator = NcclCommunicator
nccl.get_unique_id = lambda: bytes(range(128))
nccl.NCCL_SUM, nccl.NCCL_UINT8, nccl.NCCL_FLOAT16, nccl.NCCL_FLOAT32, nccl.NCCL_FLOAT64 = 0, 1, 6, 7, 8
sys.modules["bicerin_emulated.cupy.cuda.nccl"] = nccl
cuda = bicerin_emulated.cupy.cuda
cuda.Stream, cuda.Event = Stream, Event
cuda.Device = lambda device=None: SimpleNamespace(synchronize=lambda: None, pci_bus_id=f"0000:0{device}:00.0")
atexit.register(_RANKS.Free)
main()
