"""Devices: where blobs live and layers run.

A device is found by name through the entry-point group `bicerin.devices`; `gpu:1` is the device `gpu` with index 1.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from types import ModuleType
from typing import Any, ClassVar

import numpy as np

from bicerin.discovery.registry import Provider, Registry, require_class
from bicerin.errors import DeviceError, UnknownNameError


@dataclass
class Transfers:
    """How often, and how many bytes, a device has moved to and from the host.

    Single numbers that the host asked for, such as a loss to display, are counted apart, as `numbers_read`.
    """

    to_host: int = 0
    to_device: int = 0
    bytes_to_host: int = 0
    bytes_to_device: int = 0
    numbers_read: int = 0


class Device(ABC):
    """One place where arrays live.

    Args:
        index: which one of several devices of a kind, from 0.
    """

    name: ClassVar[str]
    #: True where the device's arrays are the host's own, so that nothing ever moves.
    is_host: ClassVar[bool] = False

    def __init__(self, index: int = 0) -> None:
        self.index = index
        self.transfers = Transfers()

    @property
    @abstractmethod
    def xp(self) -> ModuleType:
        """The array module: NumPy, CuPy or one with CuPy's interface."""

    def current(self) -> AbstractContextManager[Any]:
        """While it is entered, arrays are made and kernels run on this one of several devices of a kind."""
        return nullcontext()

    def zeros(self, size: int, dtype: np.dtype) -> Any:
        return self.xp.zeros(size, dtype)

    def empty(self, size: int, dtype: np.dtype) -> Any:
        return self.xp.empty(size, dtype)

    def to_host(self, source: Any, target: np.ndarray) -> None:
        """Copy a device array into a host array of the same size and dtype, and count it."""
        self.transfers.to_host += 1
        self.transfers.bytes_to_host += target.nbytes
        self._copy_to_host(source, target)

    def from_host(self, source: np.ndarray, target: Any) -> None:
        """Copy a host array into a device array of the same size and dtype, and count it."""
        self.transfers.to_device += 1
        self.transfers.bytes_to_device += source.nbytes
        self._copy_from_host(source, target)

    def read_number(self, array: Any) -> float:
        """The value of an array of one element."""
        self.transfers.numbers_read += 1
        return float(self._read_number(array))

    def read_only(self, array: Any) -> Any:
        """A view of the array to read from; a device that can tell refuses to write to it."""
        return array

    def _read_number(self, array: Any) -> Any:
        return array.item()

    def synchronize(self) -> None:
        """Wait until the device has done all that was asked of it; the host has nothing to wait for."""

    @abstractmethod
    def _copy_to_host(self, source: Any, target: np.ndarray) -> None: ...

    @abstractmethod
    def _copy_from_host(self, source: np.ndarray, target: Any) -> None: ...

    def __repr__(self) -> str:
        return self.name if self.index == 0 else f"{self.name}:{self.index}"


def _check(provider: Provider, target: Any) -> None:
    require_class(provider, target, Device, "bicerin.device.Device")


devices = Registry("bicerin.devices", "device", {"emulated": "bicerin-emulated"}.get, _check)


class CpuDevice(Device):
    """The host itself; NumPy."""

    name = "cpu"
    is_host = True

    @property
    def xp(self) -> ModuleType:
        return np

    def _copy_to_host(self, source: Any, target: np.ndarray) -> None:
        target[...] = source

    def _copy_from_host(self, source: np.ndarray, target: Any) -> None:
        target[...] = source


CPU = CpuDevice()

#: What other frameworks call it.
_CALLED_GPU = ("cuda", "cupy", "nvidia")


def get_device(spec: str | Device = "cpu") -> Device:
    """The device that `spec` names: "cpu", "gpu", "gpu:1", or a `Device` as it is.

    Raises:
        UnknownNameError: no installed distribution brings such a device.
        DeviceError: the index is not a number, or the device cannot be used here.
    """
    if isinstance(spec, Device):
        return spec
    if not isinstance(spec, str):
        hint = f'; the GPU of number {spec} is "gpu:{spec}"' if isinstance(spec, int) else ""
        raise DeviceError(f'device {spec!r}: devices are named by texts, such as "cpu" and "gpu"{hint}.')
    name, _, index = spec.partition(":")
    if name == "cpu" and not index:
        return CPU
    if index and not index.isdecimal():
        raise DeviceError(f'device "{spec}": the index after the colon must be a number, as in "gpu:1".')
    if name in _CALLED_GPU and name not in devices:
        hint = "gpu" if not index else f"gpu:{index}"
        raise UnknownNameError(
            f'unknown device "{spec}": here it is called "{hint}". Installed: {", ".join(devices.providers())}.'
        )
    device: Device = devices.load(name)(int(index or 0))
    return device
