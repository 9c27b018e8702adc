"""All machinery of speed. Importing a name from here imports Numba, where it is installed; it imports nothing of ours.

kernel      a function that Numba compiles when it is first called, with a NumPy reference of the same result
part        a function that kernels call, or that `spread` hands units to
unit        what one thread does at a time: a piece of a flat array, a row, a plane, a block of a product
piece       PIECE elements of a flat array
worker      a thread, by its number from 0, so that each can have scratch memory of its own
spread      hands the units of a kernel's work to whichever thread is free
panel       a packed operand of a matrix product: `depth` lines of a tile's rows, or of its columns
tile        the part of a product that stays in vector registers while the depth is walked
line        what a step of the depth reads of a panel; also, a row of a plane
finish      what becomes of a sum before it is written: scale, shift and slope of its channel
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bicerin.kernels.affine import Affine, Finish
    from bicerin.kernels.compiled import (
        COMPILED,
        PIECE,
        kernel,
        num_threads,
        num_workers,
        part,
        piece,
        pieces,
        spread,
        workers_for,
    )
    from bicerin.kernels.formulas import elementwise, formula
    from bicerin.kernels.operations import Operation, array_operation, host_operation, operation

_HOME = {
    "Affine": "affine",
    "COMPILED": "compiled",
    "Finish": "affine",
    "Operation": "operations",
    "PIECE": "compiled",
    "array_operation": "operations",
    "elementwise": "formulas",
    "formula": "formulas",
    "host_operation": "operations",
    "kernel": "compiled",
    "num_threads": "compiled",
    "num_workers": "compiled",
    "operation": "operations",
    "part": "compiled",
    "piece": "compiled",
    "pieces": "compiled",
    "prange": "compiled",
    "spread": "compiled",
    "workers_for": "compiled",
}

__all__ = [
    "COMPILED",
    "PIECE",
    "Affine",
    "Finish",
    "Operation",
    "array_operation",
    "elementwise",
    "formula",
    "host_operation",
    "kernel",
    "num_threads",
    "num_workers",
    "operation",
    "part",
    "piece",
    "pieces",
    "spread",
    "workers_for",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
