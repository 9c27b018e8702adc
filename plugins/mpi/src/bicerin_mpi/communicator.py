"""The communicator `mpi`: the ranks of MPI's world, through mpi4py; arrays of GPUs go by NCCL where there is one.

Whatever waits looks again and again and sleeps in between, so that signals are obeyed, and so that several ranks may
share a processor.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import platform
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Sequence
from types import TracebackType
from typing import Any, NoReturn

import numpy as np

from bicerin.device import Device
from bicerin.errors import ParallelError
from bicerin.parallel.communicator import Communicator, Pending
from bicerin_mpi import witness
from bicerin_mpi.launched import check_launched
from bicerin_mpi.nccl import Nccl, connect_devices

_MESSAGE = 7
#: For how many seconds what a rank has said is on its way, before all are ended.
_LAST_WORDS = 1.0


def connect() -> MpiCommunicator:
    """Connect the ranks of MPI's world. An exception that nobody catches ends all of them from now on.

    Raises:
        ParallelError: there is no MPI, or this process is the only one, and was not started by mpiexec or the like.
    """
    try:
        from mpi4py import MPI
    except (ImportError, RuntimeError) as error:
        reason = str(error).partition("\n")[0]
        raise ParallelError(
            f"mpi: mpi4py finds no MPI on this system ({reason}). Install the cluster's own, or one by pip: "
            "pip install 'bicerin-mpi[mpich]'."
        ) from error

    check_launched(MPI.COMM_WORLD.Get_size(), MPI.Get_library_version())
    communicator = MpiCommunicator(MPI.COMM_WORLD)
    communicator.start_witness()
    _abort_on_exceptions(communicator)
    # MPICH's mpiexec sends it when another rank has died, where it was told not to end the others itself.
    if threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGUSR1) == signal.SIG_DFL:
        signal.signal(signal.SIGUSR1, lambda number, frame: None)
    return communicator


class MpiCommunicator(Communicator):
    """The ranks of an MPI communicator, such as `MPI.COMM_WORLD`.

    Args:
        world: its ranks; it is duplicated, so that what others send in it does not disturb.
    """

    def __init__(self, world: Any) -> None:
        from mpi4py import MPI

        self._mpi = MPI
        self._comm = world.Dup()
        self._messages = world.Dup()
        self.rank, self.size = self._comm.Get_rank(), self._comm.Get_size()
        local = self._comm.Split_type(MPI.COMM_TYPE_SHARED)
        self.local_rank, self.local_size = local.Get_rank(), local.Get_size()
        first = np.array([self.rank], np.int64)
        _Request(local.Ibcast(first)).wait()
        local.Free()
        own = json.dumps([platform.node(), int(first[0]), _process_numbers()]).encode()
        self.machine = machine_names([json.loads(one) for one in self.all_gather(own)])[self.rank]
        self.can_message = MPI.Query_thread() == MPI.THREAD_MULTIPLE
        #: What connects the devices of all ranks, by this rank's; None where its arrays go by the host.
        self._devices: dict[str, Nccl | None] = {}
        self._witness: subprocess.Popen[bytes] | None = None
        #: The process of this machine's witness; 0 for none.
        self._witness_process = 0
        #: Messages that are on their way: MPI reads them from here.
        self._sent: deque[tuple[Any, bytes]] = deque()

    def start_witness(self) -> None:
        """Let a process of its own watch the ranks of this machine, and say which one was killed; called on all ranks.

        It needs Linux 5.3.
        """
        own = json.dumps([self.machine, os.getpid()]).encode()
        here = [
            f"{rank}:{process}"
            for rank, (machine, process) in enumerate(map(json.loads, self.all_gather(own)))
            if machine == self.machine
        ]
        if self.local_rank == 0 and self.size > 1 and hasattr(os, "pidfd_open"):
            with contextlib.suppress(OSError):
                self._witness = subprocess.Popen(
                    [sys.executable, "-I", "-S", witness.__file__, *here],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.DEVNULL,
                    start_new_session=True,
                )
                atexit.register(self._dismiss_witness)
        process = self._witness.pid if self._witness is not None else 0
        found = [json.loads(one) for one in self.all_gather(json.dumps([self.machine, process]).encode())]
        self._witness_process = max(process for machine, process in found if machine == self.machine)

    def _dismiss_witness(self) -> None:
        """All is in order: it has nothing to say."""
        if self._witness is not None and self._witness.stdin is not None:
            with contextlib.suppress(OSError):
                self._witness.stdin.write(b".")
                self._witness.stdin.close()
            self._witness.wait()
            self._witness = None

    def close(self) -> None:
        for devices in self._devices.values():
            if devices is not None:
                devices.close()
        self._devices.clear()
        self._dismiss_witness()

    def takes(self, device: Device) -> bool:
        name = repr(device)
        if name not in self._devices:
            self._devices[name] = connect_devices(self, device)
        return device.is_host or self._devices[name] is not None

    def _of(self, array: Any) -> Nccl | None:
        """What connects the device of an array; None for one of the host."""
        if isinstance(array, np.ndarray):
            return None
        return next(found for found in self._devices.values() if found is not None and found.has(array))

    def broadcast(self, array: Any, root: int = 0) -> None:
        devices = self._of(array)
        if devices is not None:
            devices.broadcast(array, root)
        else:
            _Request(self._comm.Ibcast(array, root)).wait()

    def start_all_reduce(self, array: Any) -> Pending:
        devices = self._of(array)
        if devices is not None:
            return devices.start_all_reduce(array)
        return _Request(self._comm.Iallreduce(self._mpi.IN_PLACE, array))

    def gather(self, data: bytes, root: int = 0) -> list[bytes]:
        lengths = np.zeros(self.size, np.int64)
        _Request(self._comm.Igather(np.array([len(data)], np.int64), lengths, root)).wait()
        if self.rank != root:
            _Request(self._comm.Igatherv(np.frombuffer(data, np.uint8), None, root)).wait()
            return []
        ends = np.cumsum(lengths)
        whole = np.empty(int(ends[-1]), np.uint8)
        counts, starts = lengths.tolist(), (ends - lengths).tolist()
        received = [whole, counts, starts, self._mpi.BYTE]
        _Request(self._comm.Igatherv(np.frombuffer(data, np.uint8), received, root)).wait()
        return [whole[start : start + count].tobytes() for start, count in zip(starts, counts, strict=True)]

    def abort(self, status: int = 1) -> NoReturn:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(AttributeError, OSError, ValueError):  # there is none, or nobody who reads
                stream.flush()
        if self._witness_process:
            with contextlib.suppress(OSError):
                os.kill(self._witness_process, signal.SIGTERM)
        time.sleep(_LAST_WORDS)
        self._mpi.COMM_WORLD.Abort(status)
        os._exit(status)  # what Abort does not do on some MPIs: leave nothing of this process behind

    def send(self, rank: int, data: bytes) -> None:
        while self._sent and self._sent[0][0].Test():
            self._sent.popleft()
        self._sent.append((self._messages.Isend([data, self._mpi.BYTE], rank, _MESSAGE), data))

    def receive(self) -> tuple[int, bytes] | None:
        status = self._mpi.Status()
        message = self._messages.Improbe(self._mpi.ANY_SOURCE, _MESSAGE, status)
        if message is None:
            return None
        data = bytearray(status.Get_count(self._mpi.BYTE))
        message.Recv([data, self._mpi.BYTE])
        return status.Get_source(), bytes(data)


def machine_names(found: Sequence[Sequence[Any]]) -> list[str]:
    """A name for each rank's machine, which those have in common that see each other's processes by their numbers.

    Args:
        found: of each rank, the name that its machine gives itself, the first rank that shares its memory, and what
            tells the numbers of its processes from those of other containers.
    """
    places: dict[str, list[Sequence[Any]]] = {}
    for name, *place in found:
        if place not in places.setdefault(name, []):
            places[name].append(place)
    return [
        name if len(places[name]) == 1 else f"{name} (#{places[name].index(place) + 1} of that name)"
        for name, *place in found
    ]


def _process_numbers() -> int:
    """What differs between containers of a machine that number their processes apart; 0 where nothing tells."""
    try:
        return os.stat("/proc/self/ns/pid").st_ino
    except OSError:
        return 0


class _Request(Pending):
    """A request of MPI's, which holds on to the arrays that it uses."""

    def __init__(self, request: Any) -> None:
        self._request = request

    def done(self) -> bool:
        return bool(self._request.Test())


def _abort_on_exceptions(communicator: MpiCommunicator) -> None:
    """End all ranks when one ends with an exception: they would wait for it for ever."""
    before = sys.excepthook

    def hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        print(f"rank {communicator.rank} on {communicator.machine}:", file=sys.stderr)
        try:
            before(kind, error, trace)
        except Exception:
            traceback.print_exception(kind, error, trace)
        communicator.abort()

    sys.excepthook = hook
