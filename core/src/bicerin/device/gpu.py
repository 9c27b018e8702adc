"""The device `gpu`: NVIDIA GPUs through CuPy, which is imported when the device is first asked for."""

from __future__ import annotations

from contextlib import AbstractContextManager
from types import ModuleType
from typing import Any

import numpy as np

from bicerin.device.device import Device
from bicerin.errors import DeviceError

_INSTALL = 'pip install "bicerin[cuda12]" or "bicerin[cuda13]", as the driver\'s CUDA version (nvidia-smi) is 12 or 13'


class GpuDevice(Device):
    """One GPU; `gpu:1` is the second.

    Raises:
        DeviceError: CuPy is not installed or cannot be imported, there is no CUDA driver or no GPU, or none of this
            index.
    """

    name = "gpu"

    def __init__(self, index: int = 0) -> None:
        super().__init__(index)
        self._cupy = _import_cupy()
        number = _count(self._cupy)
        if index >= number:
            raise DeviceError(
                f'device "{self!r}": there is no GPU of index {index}; CUDA finds {number}, '
                f"{'gpu' if number == 1 else f'gpu:0 to gpu:{number - 1}'}."
            )

    @property
    def xp(self) -> ModuleType:
        return self._cupy

    def current(self) -> AbstractContextManager[Any]:
        context: AbstractContextManager[Any] = self._cupy.cuda.Device(self.index)
        return context

    def zeros(self, size: int, dtype: np.dtype) -> Any:
        with self.current():
            return super().zeros(size, dtype)

    def empty(self, size: int, dtype: np.dtype) -> Any:
        with self.current():
            return super().empty(size, dtype)

    def synchronize(self) -> None:
        with self.current():
            self._cupy.cuda.get_current_stream().synchronize()

    def _copy_to_host(self, source: Any, target: np.ndarray) -> None:
        with self.current():
            source.get(out=target)

    def _copy_from_host(self, source: np.ndarray, target: Any) -> None:
        with self.current():
            target.set(source)


def _import_cupy() -> Any:
    try:
        import cupy
    except ModuleNotFoundError as error:
        if error.name != "cupy":
            raise DeviceError(f'device "gpu": CuPy cannot be imported: {error}.') from error
        raise DeviceError(f'device "gpu" needs CuPy, which is not installed: {_INSTALL}.') from None
    except ImportError as error:
        raise DeviceError(f'device "gpu": CuPy is installed, but cannot be imported: {error}') from error
    return cupy


def _count(cupy: Any) -> int:
    try:
        number: int = cupy.cuda.runtime.getDeviceCount()
    except cupy.cuda.runtime.CUDARuntimeError as error:
        raise DeviceError(
            f'device "gpu": CuPy {cupy.__version__} is installed, but finds no GPU that it can use: {error}. '
            f"nvidia-smi must list one, and CuPy must be for the driver's CUDA version: {_INSTALL}."
        ) from error
    if number == 0:
        raise DeviceError(f'device "gpu": CuPy {cupy.__version__} is installed, but there is no GPU here.')
    return number
