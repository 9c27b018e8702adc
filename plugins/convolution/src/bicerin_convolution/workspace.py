"""Workspace: scratch memory that a thread's layers share, since they run one after the other."""

from __future__ import annotations

import threading
from math import prod
from typing import Any

import numpy as np

_local = threading.local()
_ALIGNMENT = 64


def workspace(name: str, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """An array of unspecified values, valid until this thread asks for the same name again."""
    arrays: dict[Any, np.ndarray] = _local.__dict__.setdefault(name, {})
    array = arrays.get((shape, dtype))
    if array is None:
        array = arrays[shape, dtype] = _array(arrays, prod(shape) * dtype.itemsize).view(dtype).reshape(shape)
    return array


def release() -> None:
    """Give back this thread's memory. The next arrays are new ones."""
    _local.__dict__.clear()


def _array(arrays: dict[Any, np.ndarray], size: int) -> np.ndarray:
    """So many bytes of the memory that the arrays are views of; of larger memory, and they are gone, if it is short."""
    memory = arrays.get(None)
    if memory is None or memory.size < size:
        arrays.clear()
        memory = arrays[None] = _aligned(size)
    return memory[:size]


def aligned_zeros(shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """An array of the caller's own that starts with a line of the cache."""
    return _aligned(prod(shape) * dtype.itemsize).view(dtype).reshape(shape)


def _aligned(size: int) -> np.ndarray:
    # Zeros, not empty: what a kernel computes past the end of its data must not be slow, as denormals are.
    whole = np.zeros(size + _ALIGNMENT, np.uint8)
    start = -whole.ctypes.data % _ALIGNMENT
    return whole[start : start + size]
