"""Rounding: whether layers that can compute a thing in several ways take the one that rounds least, or the fastest.

Winograd's convolution, for example, is faster than sums of products, and its sums of transformed numbers round more.
What compares a net with something else wants the exact side of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_least: ContextVar[bool] = ContextVar("rounds_least", default=False)


@contextmanager
def rounding_least() -> Iterator[None]:
    """Let layers that are reshaped or run in this context, and thread, take the ways that round least."""
    token = _least.set(True)
    try:
        yield
    finally:
        _least.reset(token)


def rounds_least() -> bool:
    """Whether the ways that round least are wanted now; asked where a layer plans its work."""
    return _least.get()
