"""Library: oneDNN's C interface, as `ctypes` calls it. Source: oneDNN's reference, version 3.

The numbers of what it knows (`PLAIN`, `FORWARD`, ...) are those of its header, the same in all of version 3.
"""

from __future__ import annotations

import ctypes
import os
import sys
import threading
from ctypes import POINTER, byref, c_char, c_char_p, c_float, c_int, c_int64, c_size_t, c_uint, c_void_p
from ctypes.util import find_library
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

from bicerin.errors import BicerinError
from bicerin.kernels import num_threads

#: Of shapes and strides, which the library takes as arrays of this many numbers.
MAX_AXES = 12

F32 = 3
INFERENCE, TRAINING, BACKWARD = 96, 64, 128
CONVOLUTION = 1
RELU = 32
POOL_MAX, POOL_AVERAGE_WITH_PADDING, POOL_AVERAGE = 511, 767, 1023
LRN_ACROSS = 2815
ADD = 131056

#: Of batch normalization: the mean, the variance, the scale and the shift are given.
GLOBAL_STATISTICS, SCALE_AND_SHIFT, RECTIFIED = 1, 2 | 4, 8

#: Arguments of a primitive.
SRC, SRC_1, DST, WEIGHTS, BIAS = 1, 2, 17, 33, 41
MEAN, VARIANCE, SCALE, SHIFT = 49, 50, 51, 52
MULTIPLE_SRC = 1024
WORKSPACE = 64
#: The gradients of some of them.
DIFF_SRC, DIFF_DST, DIFF_WEIGHTS, DIFF_BIAS, DIFF_SCALE, DIFF_SHIFT = 129, 145, 161, 169, 255, 256
#: What the first of a primitive's post-operations adds.
ADDEND = 32768 | SRC_1

#: Orders of 3, 4 and 5 axes with the channels, axis 1, in blocks: size of a block -> number of axes -> its number.
BLOCKED = {8: {3: 69, 4: 102, 5: 142}, 16: {3: 56, 4: 78, 5: 121}}

#: What a primitive's descriptor is asked for.
QUERY_IMPLEMENTATION = 8
QUERY_SRC, QUERY_WEIGHTS, QUERY_DST = 129, 131, 133
QUERY_DIFF_SRC, QUERY_DIFF_WEIGHTS, QUERY_DIFF_DST, QUERY_WORKSPACE = 130, 132, 134, 135
#: And a memory's: the number of its axes, their strides, and its blocks: how many, how large, of which axes.
QUERY_AXES, QUERY_STRIDES, QUERY_BLOCKS, QUERY_BLOCK_SIZES, QUERY_BLOCK_AXES = 256, 14, 263, 264, 265

_UNIMPLEMENTED = 3
#: The bits of a set of instructions with vectors of 512 bits.
_AVX512 = 0x27
_STATUS = {1: "out of memory", 2: "invalid arguments", 3: "not implemented", 5: "runtime error", 6: "not required"}


class OneDNNError(BicerinError):
    """oneDNN is not installed, or refused what it was asked for."""


class NotImplementedByOneDNNError(OneDNNError):
    """oneDNN has no primitive for this on this processor."""


class ExecArg(ctypes.Structure):
    _fields_ = [("arg", c_int), ("memory", c_void_p)]


class _Version(ctypes.Structure):
    _fields_ = [
        ("major", c_int),
        ("minor", c_int),
        ("patch", c_int),
        ("hash", c_char_p),
        ("cpu_runtime", c_uint),
        ("gpu_runtime", c_uint),
    ]


_OUT, _HANDLE, _DIMS = POINTER(c_void_p), c_void_p, POINTER(c_int64)
_WINDOW = (_DIMS,) * 4

#: The functions, by their names without `dnnl_`, with the types of their arguments. All return a status.
_FUNCTIONS: dict[str, tuple[Any, ...]] = {
    "engine_create": (_OUT, c_int, c_size_t),
    "sgemm": (
        *(c_char, c_char, c_int64, c_int64, c_int64, c_float),
        *(c_void_p, c_int64, c_void_p, c_int64, c_float, c_void_p, c_int64),
    ),
    "stream_create": (_OUT, _HANDLE, c_uint),
    "memory_desc_create_with_strides": (_OUT, c_int, _DIMS, c_int, _DIMS),
    "memory_desc_create_with_tag": (_OUT, c_int, _DIMS, c_int, c_int),
    "memory_desc_clone": (_OUT, _HANDLE),
    "memory_desc_create_submemory": (_OUT, _HANDLE, _DIMS, _DIMS),
    "memory_desc_destroy": (_HANDLE,),
    "memory_desc_query": (_HANDLE, c_int, c_void_p),
    "memory_create": (_OUT, _HANDLE, _HANDLE, _HANDLE),
    "memory_set_data_handle": (_HANDLE, _HANDLE),
    "memory_destroy": (_HANDLE,),
    "primitive_desc_query": (_HANDLE, c_int, c_int, c_void_p),
    "primitive_desc_destroy": (_HANDLE,),
    "primitive_create": (_OUT, _HANDLE),
    "primitive_destroy": (_HANDLE,),
    "primitive_execute": (_HANDLE, _HANDLE, c_int, c_void_p),
    "primitive_attr_create": (_OUT,),
    "primitive_attr_set_post_ops": (_HANDLE, _HANDLE),
    "primitive_attr_destroy": (_HANDLE,),
    "post_ops_create": (_OUT,),
    "post_ops_append_eltwise": (_HANDLE, c_int, c_float, c_float),
    "post_ops_append_binary": (_HANDLE, c_int, _HANDLE),
    "post_ops_destroy": (_HANDLE,),
    "reorder_primitive_desc_create": (_OUT, _HANDLE, _HANDLE, _HANDLE, _HANDLE, _HANDLE),
    "concat_primitive_desc_create": (_OUT, _HANDLE, _HANDLE, c_int, c_int, _OUT, _HANDLE),
    "binary_primitive_desc_create": (_OUT, _HANDLE, c_int, _HANDLE, _HANDLE, _HANDLE, _HANDLE),
    "convolution_forward_primitive_desc_create": (
        *(_OUT, _HANDLE, c_int, c_int, _HANDLE, _HANDLE, _HANDLE, _HANDLE),
        *(*_WINDOW, _HANDLE),
    ),
    "convolution_backward_data_primitive_desc_create": (
        *(_OUT, _HANDLE, c_int, _HANDLE, _HANDLE, _HANDLE),
        *(*_WINDOW, _HANDLE, _HANDLE),
    ),
    "convolution_backward_weights_primitive_desc_create": (
        *(_OUT, _HANDLE, c_int, _HANDLE, _HANDLE, _HANDLE, _HANDLE),
        *(*_WINDOW, _HANDLE, _HANDLE),
    ),
    "pooling_backward_primitive_desc_create": (
        *(_OUT, _HANDLE, c_int, _HANDLE, _HANDLE),
        *(_DIMS, *_WINDOW, _HANDLE, _HANDLE),
    ),
    "batch_normalization_backward_primitive_desc_create": (
        *(_OUT, _HANDLE, c_int, _HANDLE, _HANDLE, _HANDLE),
        *(c_float, c_uint, _HANDLE, _HANDLE),
    ),
    "pooling_forward_primitive_desc_create": (
        *(_OUT, _HANDLE, c_int, c_int, _HANDLE, _HANDLE),
        *(_DIMS, *_WINDOW, _HANDLE),
    ),
    "batch_normalization_forward_primitive_desc_create": (
        *(_OUT, _HANDLE, c_int, _HANDLE, _HANDLE),
        *(c_float, c_uint, _HANDLE),
    ),
    "lrn_forward_primitive_desc_create": (
        *(_OUT, _HANDLE, c_int, c_int, _HANDLE, _HANDLE),
        *(c_int64, c_float, c_float, c_float, _HANDLE),
    ),
}


class Library:
    """A `libdnnl.so.3`, with an engine and a stream for the CPU.

    Args:
        path: where it lies.

    Attributes:
        version: as "3.2.0".
        engine, stream: handles.
        lanes: elements of float32 in the longest vectors that it uses, 8 or 16.

    Raises:
        OneDNNError: it cannot be loaded, or is not version 3 with a CPU engine.
    """

    def __init__(self, path: str) -> None:
        try:
            self._dll = ctypes.CDLL(path)
        except OSError as error:
            raise OneDNNError(f"{path} cannot be loaded: {error}.") from error
        describe = self._dll.dnnl_version
        describe.restype = POINTER(_Version)
        found = describe().contents
        self.version = f"{found.major}.{found.minor}.{found.patch}"
        if found.major != 3:
            raise OneDNNError(f"{path} is oneDNN {self.version}; version 3 is needed.")
        self.path = path
        for name, types in _FUNCTIONS.items():
            function = getattr(self._dll, f"dnnl_{name}")
            function.restype, function.argtypes = c_int, types
        self._dll.dnnl_memory_desc_get_size.restype = c_size_t
        self._dll.dnnl_memory_desc_get_size.argtypes = (_HANDLE,)
        self._dll.dnnl_memory_desc_equal.restype = c_int
        self._dll.dnnl_memory_desc_equal.argtypes = (_HANDLE, _HANDLE)
        self._dll.dnnl_primitive_desc_query_md.restype = c_void_p
        self._dll.dnnl_primitive_desc_query_md.argtypes = (_HANDLE, c_int, c_int)
        isa = self._dll.dnnl_get_effective_cpu_isa
        isa.restype = c_int
        self.lanes = 16 if isa() & _AVX512 == _AVX512 else 8
        self.execute = self._dll.dnnl_primitive_execute
        self.set_address = self._dll.dnnl_memory_set_data_handle
        self.engine = self.make("engine_create", 1, 0)
        self.stream = self.make("stream_create", self.engine, 1)

    def call(self, name: str, *arguments: Any) -> None:
        """Call a function.

        Raises:
            OneDNNError: it says that it failed.
        """
        status = getattr(self._dll, f"dnnl_{name}")(*arguments)
        if status:
            kind = NotImplementedByOneDNNError if status == _UNIMPLEMENTED else OneDNNError
            raise kind(f"oneDNN {self.version}: {name} answers {_STATUS.get(status, status)}.")

    def multiply(self, *arguments: Any) -> None:
        """Multiply two matrices in rows, as the arguments of `dnnl_sgemm` say."""
        use_threads()
        self.call("sgemm", *arguments)

    def make(self, name: str, *arguments: Any) -> int:
        """Call a function that makes something; returns its handle."""
        if name.endswith("primitive_desc_create"):
            use_threads()  # which are a part of what is described
        handle = c_void_p()
        self.call(name, byref(handle), *arguments)
        assert handle.value is not None
        return handle.value

    def size(self, descriptor: int) -> int:
        """Bytes that a memory of this descriptor takes."""
        return int(self._dll.dnnl_memory_desc_get_size(descriptor))

    def equal(self, one: int, other: int) -> bool:
        return bool(self._dll.dnnl_memory_desc_equal(one, other))

    def order(self, descriptor: int) -> str:
        """The order of a memory's elements, as the sizes and axes of its blocks and the strides of its axes."""
        count, blocks = c_int(), c_int()
        strides, sizes, axes = POINTER(c_int64)(), POINTER(c_int64)(), POINTER(c_int64)()
        for what, into in (
            (QUERY_AXES, count),
            (QUERY_STRIDES, strides),
            (QUERY_BLOCKS, blocks),
            (QUERY_BLOCK_SIZES, sizes),
            (QUERY_BLOCK_AXES, axes),
        ):
            self.call("memory_desc_query", descriptor, what, byref(into))
        inner = "".join(f"{sizes[index]}{'abcdefghijkl'[axes[index]]}" for index in range(blocks.value))
        outer = sorted(range(count.value), key=lambda axis: -strides[axis])
        return "".join("abcdefghijkl"[axis] for axis in outer) + (f" in blocks of {inner}" if inner else "")

    def memory_descriptor(self, primitive_descriptor: int, what: int, index: int = 0) -> int:
        """A copy of the descriptor of one of a primitive's memories."""
        found = self._dll.dnnl_primitive_desc_query_md(primitive_descriptor, what, index)
        return self.make("memory_desc_clone", found)

    def implementation(self, primitive_descriptor: int) -> str:
        """The library's own name of the code that the primitive runs, as `jit:avx512_core`."""
        name = c_char_p()
        self.call("primitive_desc_query", primitive_descriptor, QUERY_IMPLEMENTATION, 0, byref(name))
        return (name.value or b"").decode("ascii", "replace")


class _Threads(threading.local):
    """How many threads OpenMP was last told to use, in each thread that calls it."""

    number = 0


_threads = _Threads()


class _Process:
    """Whether this process was forked from one that had the library loaded.

    It has one thread then, and GNU's OpenMP would wait for ever for the others, which primitives of before ask for.
    """

    forked = False

    def after_fork(self) -> None:
        self.forked = True
        _threads.number = 0


_process = _Process()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_process.after_fork)


def is_slow(implementation: str) -> bool:
    """Whether code of the library's, by its name, is there for completeness alone."""
    return implementation.startswith(("ref", "gemm:ref"))


def is_forked() -> bool:
    """Whether layers must compute themselves, since the primitives that there are would hang."""
    return _process.forked


def use_threads() -> None:
    """Have the library use as many threads as our kernels do, in calls from this thread."""
    wanted = 1 if _process.forked else num_threads()
    if _threads.number != wanted:
        _threads.number = wanted
        openmp = _openmp()
        if openmp is not None:
            openmp.omp_set_num_threads(wanted)


@cache
def _openmp() -> Any:
    """The OpenMP that the library uses, of those that the process has loaded; None for one that has another runtime."""
    library()
    loaded = Path("/proc/self/maps").read_text() if sys.platform == "linux" else ""
    for name in ("libgomp.so", "libomp.so", "libiomp5.so"):
        for line in loaded.splitlines():
            path = line.rpartition(" ")[2]
            if Path(path).name.startswith(name):
                return ctypes.CDLL(path)
    return None


@cache
def library() -> Library:
    """The library: the one that `BICERIN_ONEDNN` names, else PyPI's, else the system's or conda's.

    Raises:
        OneDNNError: there is none.
    """
    named = os.environ.get("BICERIN_ONEDNN")
    if named:
        return Library(named)
    tried = [*_of_distributions(), Path(sys.prefix) / "lib" / "libdnnl.so.3"]
    for path in tried:
        if path.is_file():
            return Library(str(path))
    found = find_library("dnnl")
    try:
        return Library(found if found is not None and found.endswith(".3") else "libdnnl.so.3")
    except OneDNNError:
        raise OneDNNError(
            "no libdnnl.so.3 is found: pip install onednn-cpu-gomp, or libdnnl3 of Debian, or onednn of conda-forge; "
            "BICERIN_ONEDNN names another file."
        ) from None


def _of_distributions() -> list[Path]:
    """The libraries of the distributions of PyPI that are installed."""
    found = []
    for name in ("onednn-cpu-gomp", "onednn"):
        try:
            files = distribution(name).files or []
        except PackageNotFoundError:
            continue
        found += [Path(str(file.locate())) for file in files if file.name == "libdnnl.so.3"]
    return found
