"""RawModule and RawKernel: CUDA C compiled by g++ and run over its grid on the CPU.

The environment says how:

- `BICERIN_EMULATED_ORDER`: in which order threads run, "forward" (the default), "reverse", "shuffled" or
  "shuffled:<seed>". A result that depends on it, beyond rounding, is a race.
- `BICERIN_EMULATED_CHECK`: "access" looks at every access to memory: one outside of the kernel's arrays, and two by
  different threads to one place of which one writes, without a barrier or atomics, are errors that name the line. So is
  a kernel of float that computes in double because a constant lacks its `f` or `(real)`.
  "address" compiles for AddressSanitizer, whose library must be loaded before Python:
  `LD_PRELOAD=$(g++ -print-file-name=libasan.so) ASAN_OPTIONS=detect_leaks=0`.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import re
import subprocess
import tempfile
import threading
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from platformdirs import user_cache_path

from bicerin.errors import DeviceError
from bicerin_emulated.arrays import ndarray

_HERE = Path(__file__).parent
_FLAGS = ["-std=c++17", "-O2", "-gdwarf-4", "-fPIC", "-w", "-ffp-contract=off", "-fno-strict-aliasing"]
_CHECK_FLAGS = {
    "": [],
    # Loops must stay loops: calls of memset and memcpy are not seen.
    "access": ["-fsanitize=thread", "-fno-tree-loop-distribute-patterns"],
    "address": ["-fsanitize=address"],
}
_KERNEL = re.compile(r'extern\s+"C"\s+__global__\s+void\s+(\w+)')
_DTYPES = {"f4": np.float32, "f8": np.float64, "i4": np.int32, "u4": np.uint32, "i8": np.int64, "b1": np.bool_}
_KINDS = ("reads", "writes", "adds atomically")

#: The emulator's state is one for the process.
_lock = threading.Lock()
_shuffles = 0


class KernelError(DeviceError):
    """A kernel does what a GPU would do in any order, or not survive."""


class _Report(ctypes.Structure):
    _fields_ = [
        ("problem", ctypes.c_int),
        ("kind", ctypes.c_int),
        ("other_kind", ctypes.c_int),
        ("size", ctypes.c_int),
        ("thread", ctypes.c_uint * 3),
        ("block", ctypes.c_uint * 3),
        ("address", ctypes.c_size_t),
        ("place", ctypes.c_size_t),
        ("other_place", ctypes.c_size_t),
    ]


class RawModule:
    """The kernels of a source. `options` are nvcc's, and not used."""

    def __init__(self, *, code: str, options: Sequence[str] = (), backend: str = "nvrtc") -> None:
        self.code = code
        self.options = tuple(options)

    def get_function(self, name: str) -> RawKernel:
        return RawKernel(self.code, name, self.options)


class RawKernel:
    """One kernel; called with grid, block and arguments."""

    def __init__(self, code: str, name: str, options: Sequence[str] = (), backend: str = "nvrtc") -> None:
        self.code = code
        self.name = name
        self.options = tuple(options)
        if name not in _KERNEL.findall(code):
            raise KernelError(f'there is no kernel `extern "C" __global__ void {name}` in the source')

    def compile(self) -> None:
        self._library()

    def _library(self) -> tuple[Any, Path, str]:
        check = os.environ.get("BICERIN_EMULATED_CHECK", "")
        if check not in _CHECK_FLAGS:
            raise DeviceError(f'BICERIN_EMULATED_CHECK="{check}": it is "access", "address" or nothing.')
        return *_load(self.code, check), check

    def __call__(
        self, grid: Sequence[int], block: Sequence[int], arguments: Sequence[Any], shared_mem: int = 0
    ) -> None:
        library, path, check = self._library()
        grid, block = _three(grid), _three(block)
        if not 0 < block[0] * block[1] * block[2] <= 1024 or block[2] > 64:
            raise ValueError(f"invalid block {block}: 1 to 1024 threads, at most 64 of them along z")
        if not (0 < grid[0] < 2**31 and 0 < grid[1] < 2**16 and 0 < grid[2] < 2**16):
            raise ValueError(f"invalid grid {grid}")
        if shared_mem:
            raise NotImplementedError("shared memory whose size is given at the launch")
        pointers, ranges, kept = self._arguments(library, arguments)
        report = _Report()
        order, seed = _order()
        shared = [getattr(library, f"emulated_shared_{end}") for end in ("start", "stop")]
        for function in shared:
            function.restype = ctypes.c_void_p
        with _lock:
            problem = _emulator().emulate(
                getattr(library, f"emulated_call_{self.name}"),
                pointers,
                (ctypes.c_uint * 3)(*grid),
                (ctypes.c_uint * 3)(*block),
                order,
                seed,
                (ctypes.c_size_t * (2 * len(ranges)))(*(end for start, stop, _ in ranges for end in (start, stop))),
                len(ranges),
                ctypes.c_void_p(shared[0]()),
                ctypes.c_void_p(shared[1]()),
                int(check == "access"),
                ctypes.byref(report),
            )
        del kept
        if problem:
            raise KernelError(self._described(report, path, ranges))

    def _arguments(self, library: Any, arguments: Sequence[Any]) -> tuple[Any, list[tuple[int, int, int]], list[Any]]:
        """Pointers to the arguments, the arrays' addresses, and what must live as long. CuPy checks none of it."""
        types = _types(library, self.name)
        if len(arguments) != len(types):
            raise TypeError(f"{self.name} takes {len(types)} arguments, not {len(arguments)}")
        pointers = (ctypes.c_void_p * len(types))()
        ranges = []
        kept: list[Any] = []
        for index, (value, wanted) in enumerate(zip(arguments, types, strict=True)):
            what = f"{self.name}: argument {index}"
            if wanted.endswith("*"):
                if not isinstance(value, ndarray):
                    raise TypeError(f"{what} must be an array of the device, not {type(value).__name__}")
                array = value._host
                dtype = _DTYPES[wanted.removeprefix("const ").rstrip("*")]
                if array.dtype != dtype:
                    raise TypeError(f"{what} must be of dtype {np.dtype(dtype)}, not {array.dtype}")
                if not array.flags.c_contiguous:
                    raise TypeError(f"{what} is not contiguous, and the kernel sees a bare pointer")
                if not array.flags.writeable and not wanted.startswith("const"):
                    raise TypeError(f"{what} is to read only, and the kernel may write to it")
                held: Any = ctypes.c_void_p(array.ctypes.data)
                ranges.append((array.ctypes.data, array.ctypes.data + array.nbytes, index))
                pointers[index] = ctypes.addressof(held)
            else:
                # As CuPy passes Python's numbers.
                python = {bool: np.bool_, int: np.int64, float: np.float64}.get(type(value))
                number = python(value) if python else value
                if getattr(number, "dtype", None) != _DTYPES[wanted] or isinstance(number, ndarray):
                    given = getattr(number, "dtype", type(number).__name__)
                    raise TypeError(f"{what} must be a number of dtype {np.dtype(_DTYPES[wanted])}, not {given}")
                held = np.array(number)
                pointers[index] = held.ctypes.data
            kept.append(held)
        return pointers, ranges, kept

    def _described(self, report: _Report, path: Path, ranges: Sequence[tuple[int, int, int]]) -> str:
        thread = f"thread {tuple(report.thread)} of block {tuple(report.block)}"
        if report.problem == 1:
            return f"{self.name}: some threads of a block wait at __syncthreads, and others have come to the end"
        line = _line(path, report.place)
        if report.problem == 2:
            where = "no array"
            if ranges:
                start, stop, index = min(
                    ranges, key=lambda r: min(abs(report.address - r[1]), abs(r[0] - report.address - report.size))
                )
                where = (
                    f"{report.address - stop} bytes after the end of argument {index}"
                    if report.address >= stop
                    else f"{start - report.address} bytes before the start of argument {index}"
                    if report.address < start
                    else f"across the end of argument {index}"
                )
            return f"{line}: {self.name}: {thread} {_KINDS[report.kind]} {report.size} bytes out of bounds: {where}"
        return (
            f"{line}: {self.name}: a race: {thread} {_KINDS[report.kind]} what another thread "
            f"{_KINDS[report.other_kind]} at {_line(path, report.other_place)}, with no barrier in between"
        )


def _three(sizes: Sequence[int]) -> tuple[int, int, int]:
    sizes = tuple(int(size) for size in sizes)
    return (*sizes, *(1,) * (3 - len(sizes)))  # type: ignore[return-value]


def _order() -> tuple[int, int]:
    """The order of the threads, and for a shuffled one the seed, another for each launch."""
    global _shuffles
    name, _, seed = os.environ.get("BICERIN_EMULATED_ORDER", "forward").partition(":")
    orders = ("forward", "reverse", "shuffled")
    if name not in orders or (seed and not seed.isdecimal()):
        raise DeviceError(f'BICERIN_EMULATED_ORDER="{name}": it is forward, reverse, shuffled or shuffled:<seed>.')
    _shuffles += 1
    return orders.index(name), int(seed or 0) + _shuffles


@cache
def _load(code: str, check: str) -> tuple[Any, Path]:
    """The library of a source, compiled if no process has done so before, and its file."""
    if check == "address" and "libasan" not in Path("/proc/self/maps").read_text():
        raise DeviceError(
            'BICERIN_EMULATED_CHECK="address" needs AddressSanitizer\'s library to be loaded first: '
            "LD_PRELOAD=$(g++ -print-file-name=libasan.so) ASAN_OPTIONS=detect_leaks=0 python ..."
        )
    _emulator()
    exports = "".join(f"\nEMULATED_EXPORT({name})" for name in _KERNEL.findall(code))
    source = code.replace('extern "C" __global__', "__global__")
    source = f'#include "emulator.h"\n{source}\n#line 1 "exports"{exports}\n'
    flags = [*_FLAGS, *_CHECK_FLAGS[check]]
    if check == "access":
        # A constant of double in a kernel of float is not seen in its results, but a GPU takes 32 times as long for it.
        flags = [flag for flag in flags if flag != "-w"] + ["-Werror=double-promotion", "-Wno-unknown-pragmas"]
    path = _compiled(source, flags)
    return ctypes.CDLL(str(path)), path


@cache
def _types(library: Any, name: str) -> list[str]:
    """What a kernel's parameters are, such as "const f4*" for an array of float to read."""
    signature = getattr(library, f"emulated_signature_{name}")
    signature.restype = ctypes.c_char_p
    with _lock:
        text: str = signature().decode()
    return text.rstrip(",").split(",")


@cache
def _emulator() -> Any:
    path = _compiled((_HERE / "emulator.cpp").read_text(encoding="utf-8"), _FLAGS)
    return ctypes.CDLL(str(path), mode=ctypes.RTLD_GLOBAL)


def _compiled(source: str, flags: Sequence[str]) -> Path:
    """A shared library of the source, kept on disk under a name made of all that it depends on."""
    header = (_HERE / "emulator.h").read_text(encoding="utf-8")
    key = hashlib.sha256("\0".join((source, header, *flags)).encode()).hexdigest()[:32]
    folder = Path(os.environ.get("BICERIN_EMULATED_CACHE") or user_cache_path("bicerin") / "emulated")
    path = folder / f"{key}.so"
    if path.exists():
        return path
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as work:
        object_file, library = Path(work) / "kernel.o", Path(work) / "kernel.so"
        _run(["g++", *flags, "-I", str(_HERE), "-x", "c++", "-c", "-", "-o", str(object_file)], source)
        # Without the flags: the functions that -fsanitize=thread calls are the emulator's.
        link = [flag for flag in flags if flag == "-fsanitize=address"]
        _run(["g++", "-shared", *link, str(object_file), "-o", str(library), "-ldl"], "")
        library.replace(path)
    return path


def _run(command: Sequence[str], text: str) -> None:
    done = subprocess.run(command, input=text, text=True, capture_output=True)
    if done.returncode:
        raise KernelError(f"g++ cannot compile the kernels:\n{done.stderr}")


def _line(path: Path, place: int) -> str:
    """The source line of a place in a library, as "pooling.cu:34"."""
    done = subprocess.run(["addr2line", "-e", str(path), hex(place)], text=True, capture_output=True)
    return done.stdout.strip().rsplit("/", 1)[-1].split(" ")[0] or "??:0"
