"""Arrays of the emulated device, which refuse to mix with NumPy's and count what a GPU would copy or wait for.

`cupy_names.json` holds the names, and the parameters of functions and methods, that were read from a real wheel.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn

import numpy as np

from bicerin.device.device import Transfers

NAMES = json.loads(Path(__file__).with_name("cupy_names.json").read_text(encoding="utf-8"))

#: Functions and methods whose result's shape depends on values, so that CuPy reads from the GPU before it returns.
_WAIT = frozenset(
    [
        "argwhere",
        "bincount",
        "compress",
        "extract",
        "flatnonzero",
        "histogram",
        "nonzero",
        "setdiff1d",
        "unique",
        "array_equal",
        "allclose",
    ]
)

transfers = Transfers()


class ndarray:
    """An array on the device. `_host` is the NumPy array that holds its values."""

    __slots__ = ("_host",)
    _host: np.ndarray
    __hash__ = None  # type: ignore[assignment]
    # NumPy's operators leave the work to those of this class, and its functions refuse.
    __array_ufunc__ = None

    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        raise TypeError("use the array functions of the module, such as zeros and empty")

    def __array__(self, *arguments: Any, **keywords: Any) -> NoReturn:
        raise TypeError(
            "Implicit conversion to a NumPy array is not allowed. Please use `.get()` to construct a NumPy array "
            "explicitly."
        )

    def __array_function__(self, function: Any, types: Any, arguments: Any, keywords: Any) -> NoReturn:
        raise TypeError(f"numpy.{function.__name__} was called with an array of the device; use xp.{function.__name__}")

    # Copies to and from the host

    def get(self, stream: Any = None, order: Any = "C", out: np.ndarray | None = None, blocking: bool = True) -> Any:
        _count_read(self._host.nbytes)
        if out is None:
            return self._host.copy(order=order)
        out[...] = self._host
        return out

    def set(self, arr: np.ndarray, stream: Any = None) -> None:
        if not isinstance(arr, np.ndarray):
            raise TypeError("Only numpy.ndarray can be set to cupy.ndarray")
        if arr.dtype != self._host.dtype or arr.shape != self._host.shape:
            raise ValueError(f"{arr.shape} {arr.dtype} cannot be set to {self._host.shape} {self._host.dtype}")
        transfers.to_device += 1
        transfers.bytes_to_device += arr.nbytes
        self._host[...] = arr

    def item(self) -> Any:
        _count_read(self._host.itemsize)
        return self._host.item()

    def tolist(self) -> Any:
        _count_read(self._host.nbytes)
        return self._host.tolist()

    def __float__(self) -> float:
        return float(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __bool__(self) -> bool:
        return bool(self.item())

    def __index__(self) -> int:
        return self.item().__index__()

    # Views

    def _read_only(self) -> ndarray:
        view = self._host.view()
        view.flags.writeable = False
        return wrapped(view)

    def __len__(self) -> int:
        return len(self._host)

    def __iter__(self) -> Iterator[Any]:
        return map(wrapped, self._host)

    def __repr__(self) -> str:
        return f"emulated {self._host!r}"

    def __getitem__(self, index: Any) -> Any:
        if _has_mask(index):
            # How many elements are chosen decides the shape.
            _count_read(8)
        result = self._host[unwrapped(index)]
        # Parts of an array that is only read stay views; NumPy would make a number of a single element.
        return wrapped(result if isinstance(result, np.ndarray) else self._element(index))

    def _element(self, index: Any) -> np.ndarray:
        index = unwrapped(index)
        return self._host[(*index, ...) if isinstance(index, tuple) else (index, ...)]

    def __setitem__(self, index: Any, value: Any) -> None:
        if isinstance(value, tuple | list):
            raise TypeError(f"Unsupported type {type(value)}: only arrays of the device and numbers are assigned")
        if _has_mask(index):
            # CuPy counts the elements to write, and reads the count, even for a number; copyto(where=...) does not.
            _count_read(8)
        self._host[unwrapped(index)] = unwrapped(value)

    def __getattr__(self, name: str) -> Any:
        if name not in NAMES["ndarray"]:
            raise AttributeError(f"'cupy.ndarray' object has no attribute {name!r}")
        found = getattr(self._host, name)
        if callable(found):
            return guarded(f"ndarray.{name}", found, NAMES["ndarray"][name])
        return wrapped(found) if isinstance(found, np.ndarray) else found

    @property
    def data(self) -> Any:
        """The memory: `ptr` is its address."""
        return SimpleNamespace(ptr=self._host.ctypes.data)

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        interface = dict(self._host.__array_interface__)
        interface["version"] = 3
        interface["stream"] = 1
        return interface

    def __dlpack__(self, **keywords: Any) -> Any:
        return self._host.__dlpack__(**keywords)

    def __dlpack_device__(self) -> tuple[int, int]:
        return self._host.__dlpack_device__()


def _count_read(size: int) -> None:
    transfers.to_host += 1
    transfers.bytes_to_host += size


def _has_mask(index: Any) -> bool:
    parts = index if isinstance(index, tuple) else (index,)
    return any(isinstance(part, ndarray) and part._host.dtype == np.bool_ for part in parts)


def wrapped(value: Any) -> Any:
    """A result as the device gives it: arrays, and numbers, which are arrays of shape ()."""
    if isinstance(value, np.ndarray | np.generic):
        array: ndarray = object.__new__(ndarray)
        array._host = np.asarray(value)
        return array
    if type(value) in (tuple, list):
        return type(value)(map(wrapped, value))
    return value


def unwrapped(value: Any) -> Any:
    """An argument as NumPy takes it; arrays of the host are refused."""
    if isinstance(value, ndarray):
        return value._host
    if isinstance(value, np.ndarray):
        raise TypeError("Unsupported type <class 'numpy.ndarray'>: an array of the host in a function of the device")
    if type(value) in (tuple, list):
        return type(value)(map(unwrapped, value))
    return value


def guarded(name: str, function: Callable[..., Any], parameters: str | None) -> Callable[..., Any]:
    """NumPy's function with arrays of the device, which counts where CuPy waits.

    Args:
        parameters: the names of CuPy's, between spaces; others are a TypeError. None where they are not known.
    """
    given = None if parameters is None else parameters.split()
    any_number = given is None or any(parameter.startswith("*") for parameter in given)
    waits = name.removeprefix("ndarray.") in _WAIT

    def call(*arguments: Any, **keywords: Any) -> Any:
        if given is not None and not keywords.keys() <= set(given):
            raise TypeError(f"cupy.{name} has no parameter {sorted(keywords.keys() - set(given))}")
        if given is not None and not any_number and len(arguments) > len(given):
            raise TypeError(f"cupy.{name} takes {len(given)} arguments, not {len(arguments)}")
        if name.endswith("sort") and keywords.get("kind") not in (None, "stable"):
            raise ValueError(f"cupy.{name} is always stable, and takes no kind but that")
        if waits or (name == "where" and len(arguments) + len(keywords) == 1):
            _count_read(8)
        out = keywords.get("out")
        result = function(*unwrapped(arguments), **{key: unwrapped(value) for key, value in keywords.items()})
        return out if out is not None else wrapped(result)

    return call


def _operator(name: str) -> Callable[..., Any]:
    in_place = name.startswith("__i") and name != "__invert__"

    def operate(self: ndarray, *others: Any) -> Any:
        result = getattr(self._host, name)(*map(unwrapped, others))
        if in_place:
            return self
        return result if result is NotImplemented else wrapped(result)

    operate.__name__ = name
    return operate


for _name in [
    "add",
    "sub",
    "mul",
    "truediv",
    "floordiv",
    "mod",
    "pow",
    "matmul",
    "and",
    "or",
    "xor",
    "lshift",
    "rshift",
]:
    for _kind in ("", "r", "i"):
        setattr(ndarray, f"__{_kind}{_name}__", _operator(f"__{_kind}{_name}__"))
for _name in ["eq", "ne", "lt", "le", "gt", "ge", "neg", "pos", "abs", "invert"]:
    setattr(ndarray, f"__{_name}__", _operator(f"__{_name}__"))
