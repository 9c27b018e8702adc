"""All machinery of speed. Importing a name from here imports Numba, where it is installed; it imports nothing of ours.

What there is to run:

kernel      a function that Numba compiles when it is first called, and keeps on disk
reference   what gives a kernel's result with NumPy alone, where nothing is compiled
part        a function that kernels call, or that `spread` hands units to; it cannot be called from Python
operation   one arithmetic thing with a form for each device: a kernel, array code, a CUDA kernel
array form  whole-array code, for NumPy and for CuPy; an operation's reference
formula     a scalar function in Python that is printed as a kernel and as a CUDA kernel
stamp       what changes when a source of a kernel does: without the same one, a kernel on disk does not count

How work is shared:

thread      one of Numba's, as many as BICERIN_NUM_THREADS says
worker      a thread while it works on a kernel, by its number from 0, so that each can have scratch memory of its own
unit        what a worker does at a time: a piece of a flat array, a row, a plane, a block of a product
piece       PIECE elements of a flat array
spread      hands the units of a kernel's work to whichever thread is free
turn        where only one caller may start the threads at a time, the leave to do so; others do their work alone
walk        one pass over an array, each element visited once and in order; a strided gradient takes several

How matrices are multiplied:

vector      as many numbers as a register of the processor holds
panel       an operand of a product, packed: a tile's rows of A, or its columns of B, for the whole depth
depth       what is summed over: the columns of A, which are the rows of B
tile        the part of a product that stays in vector registers while the depth is walked
line        what a step of the depth reads of a panel; also, a row of a plane
finish      what becomes of a sum before it is written: scale, shift and slope of its channel

What Numba's own words mean is at the top of `numba_internals`, the one file that knows its inner parts.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bicerin.kernels.affine import Affine, Finish
    from bicerin.kernels.compiled import (
        COMPILED,
        PIECE,
        WITH_PANELS,
        kernel,
        num_threads,
        num_workers,
        part,
        piece,
        pieces,
        spread,
        workers_for,
    )
    from bicerin.kernels.formulas import elementwise, formula, has_rows
    from bicerin.kernels.operations import Operation, array_operation, host_operation, operation
    from bicerin.kernels.rounding import rounding_least, rounds_least

_HOME = {
    "Affine": "affine",
    "COMPILED": "compiled",
    "Finish": "affine",
    "Operation": "operations",
    "PIECE": "compiled",
    "WITH_PANELS": "compiled",
    "array_operation": "operations",
    "elementwise": "formulas",
    "formula": "formulas",
    "has_rows": "formulas",
    "host_operation": "operations",
    "kernel": "compiled",
    "num_threads": "compiled",
    "num_workers": "compiled",
    "operation": "operations",
    "part": "compiled",
    "piece": "compiled",
    "pieces": "compiled",
    "rounding_least": "rounding",
    "rounds_least": "rounding",
    "spread": "compiled",
    "workers_for": "compiled",
}

__all__ = [
    "COMPILED",
    "PIECE",
    "WITH_PANELS",
    "Affine",
    "Finish",
    "Operation",
    "array_operation",
    "elementwise",
    "formula",
    "has_rows",
    "host_operation",
    "kernel",
    "num_threads",
    "num_workers",
    "operation",
    "part",
    "piece",
    "pieces",
    "rounding_least",
    "rounds_least",
    "spread",
    "workers_for",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
