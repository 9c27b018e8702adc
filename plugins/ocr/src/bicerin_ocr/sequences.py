"""Sequences of classes without their blanks, as arrays in which -1 follows the last class."""

from __future__ import annotations

from typing import Any

import numpy as np


def compacted(xp: Any, classes: Any, kept: Any, length: int) -> Any:
    """The classes that are kept, `(N, length)` of int64, in their order and followed by -1.

    Args:
        classes: `(N, T)`.
        kept: `(N, T)` of bool, `length` or fewer of a row.
    """
    number, steps = classes.shape
    made = xp.full((number, length + 1), -1, np.int64)
    if steps:
        # What is not kept goes to the place after the last, which nobody reads.
        place = xp.where(kept, xp.cumsum(kept, axis=1) - 1, length)
        made[xp.arange(number)[:, None], place] = classes
    return made[:, :length]


def best_path(xp: Any, scores: Any, blank: int, merge: bool = True) -> tuple[Any, Any]:
    """The best class of each step, the first of several, `(N, T)`, and which of them count: no blanks, and with
    `merge` none that is the class before.

    Args:
        scores: `(N, T, C)`.
    """
    best = scores.argmax(axis=2)
    kept = best != blank
    if merge and best.shape[1] > 1:
        kept[:, 1:] &= best[:, 1:] != best[:, :-1]
    return best, kept
