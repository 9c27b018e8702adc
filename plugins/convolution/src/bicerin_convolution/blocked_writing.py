"""Writing the sums of kernels on blocks of channels, finished: the last instructions of those kernels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from bicerin.kernels.numba_internals import is_true, slot
from bicerin.kernels.panel import Vectors


class Ending(NamedTuple):
    """What becomes of sums: f(sum + shift + addend) with f(v) = v where v > 0, else slope * v.

    Attributes:
        slope: a number of the kernel's.
        added, adds: a pointer to the addend that counts where `adds` is true, from the same place on as `target`.
        target: a pointer to where they go.
    """

    slope: Any
    added: Any
    adds: Any
    target: Any


def write_finished(vectors: Vectors, sums: Sequence[tuple[Any, Any, Any]], ending: Ending) -> None:
    """Write vectors of sums, each with its shift and its offset from the target. Two may go to the same place."""
    builder, rectified = vectors.builder, vectors.rectifier(ending.slope)
    values = [slot(builder, builder.fadd(total, shift)) for total, shift, _ in sums]
    with builder.if_then(is_true(builder, ending.adds)):
        # All of the addend before anything is written, which may be in its place.
        for value, (_, _, place) in zip(values, sums, strict=True):
            other = vectors.load(builder.gep(ending.added, [place]))
            builder.store(builder.fadd(builder.load(value), other), value)
    for value, (_, _, place) in zip(values, sums, strict=True):
        vectors.store(rectified(builder.load(value)), builder.gep(ending.target, [place]))
