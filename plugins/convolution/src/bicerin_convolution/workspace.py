"""Workspace: scratch memory that a thread's layers share, since they run one after the other."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np

_local = threading.local()
_ALIGNMENT = 64


def workspace(name: str, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    """An array of unspecified values, valid until this thread asks for the same name again."""
    dtype = np.dtype(dtype)
    count = 1
    for axis in shape:
        count *= axis
    size = count * dtype.itemsize
    buffers = _local.__dict__
    buffer = buffers.get(name)
    if buffer is None or buffer.size < size:
        # Zeros, not empty: what a kernel computes past the end of its data must not be slow, as denormals are.
        memory = np.zeros(size + _ALIGNMENT, np.uint8)
        start = -memory.ctypes.data % _ALIGNMENT
        buffer = buffers[name] = memory[start : start + size]
    return buffer[:size].view(dtype).reshape(shape)
