"""The turns of one rank, where several divide what a layer reads."""

from __future__ import annotations

from itertools import pairwise


def gaps(turns: range, passes: int) -> list[int]:
    """How many batches are others' before each of the turns, and after the last one.

    Args:
        turns: which of the passes are this rank's, counted from 0, in rising order.
        passes: how many there are.
    """
    ends = [-1, *turns, passes]
    return [later - earlier - 1 for earlier, later in pairwise(ends)]
