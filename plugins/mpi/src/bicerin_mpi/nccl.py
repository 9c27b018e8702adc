"""Sums between GPUs by NCCL, through `cupy.cuda.nccl`: what ranks send each other does not pass through the host.

MPI hands round the id by which NCCL's ranks find each other. A sum runs on a stream of its own, beside the layers that
are computed meanwhile, and begins when the device's current stream has come to where it was asked for.
"""

from __future__ import annotations

import importlib
import json
import logging
import warnings
from typing import Any

from bicerin.device import Device
from bicerin.parallel.communicator import Communicator, Pending
from bicerin_proto.quotation import printable

_log = logging.getLogger("bicerin.mpi")

#: dtype -> the name of NCCL's constant.
_TYPES = {"float16": "NCCL_FLOAT16", "float32": "NCCL_FLOAT32", "float64": "NCCL_FLOAT64"}


def connect_devices(communicator: Communicator, device: Device) -> Nccl | None:
    """Connect the devices of all ranks; called on all of them, each with its own, all of one kind.

    Returns:
        None where the device is the host, there is one rank alone, or a rank has no NCCL or shares its device: rank 0
        logs which.
    """
    if device.is_host or communicator.size == 1:
        return None
    library, reason = _library(device)
    own = json.dumps([reason, communicator.machine, _place(device)]).encode()
    places: dict[tuple[str, str], int] = {}
    for rank, (why, machine, place) in enumerate(map(json.loads, communicator.all_gather(own))):
        other = places.setdefault((machine, place), rank)
        if not why and other != rank:
            why = f"ranks {other} and {rank} share a device"
        if why:
            if communicator.rank == 0:
                _log.info("gradients are copied to the host and averaged there by MPI: %s", printable(why))
            return None
    number = library.get_unique_id() if communicator.rank == 0 else b""
    return Nccl(device, library, communicator.rank, communicator.size, communicator.share(number))


class Nccl:
    """The devices of all ranks, connected.

    Args:
        device: this rank's.
        library: `cupy.cuda.nccl`.
        rank, size: which rank this is, and of how many.
        number: what rank 0's `get_unique_id` gave.
    """

    def __init__(self, device: Device, library: Any, rank: int, size: int, number: bytes) -> None:
        self._device, self._library = device, library
        self._cuda = device.xp.cuda
        with device.current():
            self._ranks = library.NcclCommunicator(size, number, rank)
            self._stream = self._cuda.Stream(non_blocking=True)

    def has(self, array: Any) -> bool:
        """Whether an array is of this device."""
        return isinstance(array, self._device.xp.ndarray)

    def start_all_reduce(self, array: Any) -> Pending:
        """As the method of `Communicator`, for an array of the device."""
        library, pointer = self._library, array.data.ptr
        kind = getattr(library, _TYPES[array.dtype.name])
        with self._device.current():
            self._follow()
            self._ranks.allReduce(pointer, pointer, array.size, kind, library.NCCL_SUM, self._stream.ptr)
            return self._ends()

    def broadcast(self, array: Any, root: int) -> None:
        """As the method of `Communicator`, for an array of the device."""
        with self._device.current():
            self._follow()
            self._ranks.bcast(array.data.ptr, array.nbytes, self._library.NCCL_UINT8, root, self._stream.ptr)
            pending = self._ends()
        pending.wait()

    def close(self) -> None:
        """Part from the others; called on all ranks."""
        with self._device.current():
            self._stream.synchronize()
            self._ranks.destroy()

    def _follow(self) -> None:
        """Let the stream of sums wait for what was asked of the device until now."""
        written = self._cuda.Event(disable_timing=True)
        written.record(self._cuda.get_current_stream())
        self._stream.wait_event(written)

    def _ends(self) -> Pending:
        end = self._cuda.Event(disable_timing=True)
        end.record(self._stream)
        return _Sum(self._ranks, end)


class _Sum(Pending):
    """What runs on the stream of sums until an event."""

    def __init__(self, ranks: Any, end: Any) -> None:
        self._ranks, self._end = ranks, end

    def done(self) -> bool:
        if self._end.done:
            return True
        self._ranks.check_async_error()
        return False


def _library(device: Device) -> tuple[Any, str]:
    """The module that calls NCCL for a device's arrays; and why there is none, or nothing."""
    name = f"{device.xp.__name__}.cuda.nccl"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # CuPy's, of many lines; rank 0 says it in one
            library = importlib.import_module(name)
    except ImportError:
        return None, f"{name} does not exist"
    if not library.available:
        return None, "CuPy finds no NCCL, which pip install nvidia-nccl-cu12 (or -cu13, as your CuPy) brings"
    return library, ""


def _place(device: Device) -> str:
    """What no other device of this machine has, whatever number it goes by in this process."""
    found = device.xp.cuda.Device(device.index)
    return str(getattr(found, "pci_bus_id", device.index))
