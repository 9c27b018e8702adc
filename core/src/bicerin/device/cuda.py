"""CUDA C beside a layer's kernels: a `.cu` file, compiled for a device and a dtype when its layer is made.

In the file, `real` stands for float or double, and what `cuda.cuh` defines may be used:

    extern "C" __global__ void forward(int n, const real* x, const real* slope, real* y) {
      ELEMENT(i, n);
      y[i] = x[i] > 0 ? x[i] : slope[0] * x[i];
    }

A kernel is called with the number of its elements, its first parameter `int n`, and gets one thread for each; or, with
`kernels.forward.blocks(rows, ...)`, it gets a block of `BLOCK` threads for each row. Numbers are turned into what the
parameters' types say. Arrays must be of the device, contiguous, and of the parameter's type, which CUDA does not check.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np

from bicerin.device.device import Device
from bicerin.errors import DeviceError

#: Threads of a block: a power of 2.
BLOCK = 256

#: Products and sums are rounded apart, as on the CPU, so that bins of regions fall alike; it costs little, since
#: kernels mostly wait for memory.
OPTIONS = ("--std=c++17", "--fmad=false")

_KERNEL = re.compile(r'extern\s+"C"\s+__global__\s+void\s+(\w+)\s*\(([^)]*)\)')
_PARAMETER = re.compile(r"(?:const\s+)?(real|double|float|(?:unsigned\s+)?int|long\s+long|bool)\s*(\*?)\s*(\w+)$")
_DTYPES: dict[str, np.dtype[Any]] = {
    "double": np.dtype(np.float64),
    "float": np.dtype(np.float32),
    "int": np.dtype(np.int32),
    "unsigned int": np.dtype(np.uint32),
    "long long": np.dtype(np.int64),
    "bool": np.dtype(np.bool_),
}
_REAL = {np.dtype(np.float32): "float", np.dtype(np.float64): "double"}


@dataclass(frozen=True)
class Parameter:
    """A parameter of a kernel: its name, its type in CUDA C (`real` as it stands), and whether it is an array."""

    name: str
    type: str
    is_array: bool

    def dtype(self, real: np.dtype[Any]) -> np.dtype[Any]:
        return real if self.type == "real" else _DTYPES[self.type]


class CudaSource:
    """CUDA C: files, and text that stands before them.

    Args:
        paths: of the files.
        generated: what was made from formulas.
    """

    def __init__(self, paths: Path | Sequence[Path], generated: str = "") -> None:
        self.paths = [paths] if isinstance(paths, Path) else list(paths)
        self.generated = generated
        self.name = self.paths[0].name if self.paths else "formulas"
        self._kernels: dict[tuple[type[Device], int, np.dtype], Kernels] = {}

    @cached_property
    def text(self) -> str:
        files = [f'#line 1 "{path.name}"\n{path.read_text(encoding="utf-8")}' for path in self.paths]
        return "\n".join([f'#line 1 "formulas"\n{self.generated}', *files])

    @cached_property
    def signatures(self) -> dict[str, tuple[Parameter, ...]]:
        """The parameters of each kernel by its name."""
        return {name: tuple(map(_parameter, text.split(","))) for name, text in _KERNEL.findall(self.text)}

    def code(self, dtype: np.dtype) -> str:
        """All of what is compiled for a dtype. Errors in it have the file's own line numbers."""
        return (
            f"typedef {_REAL[np.dtype(dtype)]} real;\n#define BLOCK {BLOCK}\n"
            f'#line 1 "cuda.cuh"\n{_prelude()}\n{self.text}'
        )

    def on(self, device: Device, dtype: np.dtype) -> Kernels:
        """The kernels on a device, for blobs of a dtype."""
        key = (type(device), device.index, dtype)
        if key not in self._kernels:
            self._kernels[key] = Kernels(self, device, dtype)
        return self._kernels[key]


class Kernels:
    """The kernels of a file on one device for one dtype, as attributes."""

    def __init__(self, source: CudaSource, device: Device, dtype: np.dtype) -> None:
        self._source = source
        self.xp: Any = device.xp
        self._dtype = dtype
        self._module = self.xp.RawModule(code=source.code(dtype), options=OPTIONS)

    def __getattr__(self, name: str) -> Kernel:
        parameters = self._source.signatures.get(name)
        if parameters is None:
            raise AttributeError(f"{self._source.name} has no kernel {name!r}")
        function = self._module.get_function(name)
        kernel = Kernel(f"{self._source.name}: {name}", function, parameters, self.xp.ndarray, self._dtype)
        setattr(self, name, kernel)
        return kernel


class Kernel:
    """One kernel; calling it launches a thread for each of `count` elements. Made by `Kernels`."""

    def __init__(self, name: str, function: Any, parameters: Sequence[Parameter], array: Any, real: np.dtype) -> None:
        self.name = name
        self._function = function
        self._parameters = [(parameter, parameter.dtype(real)) for parameter in parameters]
        self._array = array

    def __call__(self, count: int, *arguments: Any) -> None:
        """One thread for each of `count` elements; the kernel's first parameter, `int n`, is the count."""
        if count:
            self._function((-(-count // BLOCK),), (BLOCK,), self._checked((count, *arguments)))

    def blocks(self, count: int, *arguments: Any) -> None:
        """`count` blocks of `BLOCK` threads; the kernel finds its own in `blockIdx.x`."""
        if count:
            self._function((count,), (BLOCK,), self._checked(arguments))

    def _checked(self, arguments: Sequence[Any]) -> tuple[Any, ...]:
        if len(arguments) != len(self._parameters):
            raise DeviceError(f"{self.name} takes {len(self._parameters)} arguments, not {len(arguments)}.")
        return tuple(
            self._array_argument(value, parameter, dtype) if parameter.is_array else dtype.type(value)
            for value, (parameter, dtype) in zip(arguments, self._parameters, strict=True)
        )

    def _array_argument(self, value: Any, parameter: Parameter, dtype: np.dtype) -> Any:
        if not isinstance(value, self._array):
            raise DeviceError(f"{self.name}: {parameter.name} must be an array of the device, not {type(value)}.")
        if value.dtype != dtype:
            raise DeviceError(f"{self.name}: {parameter.name} must be of dtype {dtype}, not {value.dtype}.")
        if not value.flags.c_contiguous:
            raise DeviceError(f"{self.name}: {parameter.name} must be contiguous.")
        return value


def _parameter(text: str) -> Parameter:
    found = _PARAMETER.match(" ".join(text.split()))
    if found is None:
        raise DeviceError(f"a kernel's parameter must be a number or an array, not `{text.strip()}`.")
    return Parameter(found[3], found[1], bool(found[2]))


@cache
def _prelude() -> str:
    return Path(__file__).with_name("cuda.cuh").read_text(encoding="utf-8")
