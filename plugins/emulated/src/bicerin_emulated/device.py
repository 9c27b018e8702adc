"""The device `emulated`: the code that is written for `gpu`, unchanged, on the CPU.

Arrays are of a type of their own, so that mixing host and device is an error as it is with CuPy; kernels are compiled
by g++. What a GPU does at once is done here one thread after the other, so it proves arithmetic, indices and copies,
and nothing about speed.
"""

from __future__ import annotations

import shutil
from types import ModuleType
from typing import Any

import numpy as np

from bicerin.device import Device
from bicerin.errors import DeviceError
from bicerin_emulated import cupy


class EmulatedDevice(Device):
    """All indices are one memory; `transfers` counts for all of them, and the copies that CuPy makes unasked too.

    Raises:
        DeviceError: there is no g++.
    """

    name = "emulated"

    def __init__(self, index: int = 0) -> None:
        super().__init__(index)
        if shutil.which("g++") is None:
            raise DeviceError(
                'device "emulated" compiles CUDA C with g++, which is not on the PATH: apt-get install g++, or the '
                "compiler package of your system."
            )
        self.transfers = cupy.transfers

    @property
    def xp(self) -> ModuleType:
        return cupy

    def read_only(self, array: Any) -> Any:
        return array._read_only()

    def _read_number(self, array: Any) -> Any:
        return array._host.item()

    def _copy_to_host(self, source: Any, target: np.ndarray) -> None:
        target[...] = source._host

    def _copy_from_host(self, source: np.ndarray, target: Any) -> None:
        target._host[...] = source
