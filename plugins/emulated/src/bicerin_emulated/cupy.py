"""CuPy's interface on the CPU: what the real wheel has, and no more (see `arrays`).

A name that CuPy lacks is an AttributeError here too, even where NumPy has it, and so is a parameter a TypeError.
Everything that makes the GPU wait and sends something to the host, asked for or not, is counted in `transfers`.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np

from bicerin_emulated.arrays import NAMES, guarded, ndarray, transfers, unwrapped, wrapped
from bicerin_emulated.raw_module import RawKernel, RawModule

__all__ = ["RawKernel", "RawModule", "asarray", "asnumpy", "cuda", "get_array_module", "ndarray", "transfers"]

__version__ = f"{NAMES['version']}+emulated"

_UFUNCS = frozenset(NAMES["ufuncs"])


class _Ufunc:
    """A function of elements; CuPy's take `out`, `dtype` and `casting`."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._ufunc: Any = getattr(np, name)
        self._call = guarded(name, self._ufunc, "*x out dtype casting")

    def __call__(self, *arguments: Any, **keywords: Any) -> Any:
        for argument in arguments:
            if isinstance(argument, tuple | list):
                raise TypeError(f"Unsupported type {type(argument)}")
        return self._call(*arguments, **keywords)

    def at(self, array: ndarray, indices: Any, values: Any = None) -> None:
        if self.name not in ("add", "subtract", "maximum", "minimum", "bitwise_and", "bitwise_or", "bitwise_xor"):
            raise NotImplementedError(f"`{self.name}.at` is not supported yet")
        self._ufunc.at(array._host, unwrapped(indices), unwrapped(values))


def asarray(a: Any, dtype: Any = None, order: Any = None, *, blocking: bool = False) -> ndarray:
    if isinstance(a, ndarray):
        array: ndarray = wrapped(np.asarray(a._host, dtype))
        return array
    transfers.to_device += 1
    array = wrapped(np.array(a, dtype))
    transfers.bytes_to_device += array._host.nbytes
    return array


def array(obj: Any, dtype: Any = None, copy: bool = True, **keywords: Any) -> ndarray:
    made = asarray(obj, dtype)
    return wrapped(made._host.copy()) if copy and isinstance(obj, ndarray) else made


def asnumpy(a: Any, stream: Any = None, order: str = "C", out: Any = None, *, blocking: bool = True) -> Any:
    return a.get(order=order, out=out) if isinstance(a, ndarray) else np.asarray(a)


def get_array_module(*arguments: Any) -> Any:
    import sys

    return sys.modules[__name__] if any(isinstance(argument, ndarray) for argument in arguments) else np


class _Stream:
    def synchronize(self) -> None:
        """Nothing is ever under way."""


cuda = SimpleNamespace(
    Device=lambda device=None: SimpleNamespace(id=device or 0, synchronize=lambda: None),
    get_current_stream=_Stream,
    is_available=lambda: True,
    runtime=SimpleNamespace(getDeviceCount=lambda: 1),
)


def __getattr__(name: str) -> Any:
    if name.startswith("__"):
        raise AttributeError(name)
    if name not in NAMES["cupy"]:
        raise AttributeError(f"module 'cupy' has no attribute {name!r} (names of CuPy {NAMES['version']})")
    found = getattr(np, name)
    if name in _UFUNCS:
        found = _Ufunc(name)
    elif callable(found) and not isinstance(found, type):
        found = guarded(name, found, NAMES["cupy"][name])
    globals()[name] = found
    return found
