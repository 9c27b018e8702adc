"""Threads: how many a piece of work is worth."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numba

from bicerin.kernels import num_threads

#: Multiply-adds below which starting the threads costs more than they save.
SMALL = 1 << 20


@contextmanager
def threads(work: int) -> Iterator[int]:
    """Run kernels with as many threads as so many multiply-adds are worth; gives that number."""
    before = numba.get_num_threads()
    number = 1 if work < SMALL else min(num_threads(), before)
    if number == before:
        yield number
        return
    numba.set_num_threads(number)
    try:
        yield number
    finally:
        numba.set_num_threads(before)
