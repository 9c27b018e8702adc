"""Memory that is used again once nobody looks at it: new memory costs a fault of the processor for each page."""

from __future__ import annotations

import sys
from collections import deque

import numpy as np


class RecycledMemory:
    """Flat arrays that may still be looked at; one is given out when it is not.

    Args:
        most: how many of them are kept.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        #: The oldest first.
        self._arrays: deque[np.ndarray] = deque()

    def put(self, array: np.ndarray) -> None:
        """Keep an array until no other array is left that shows its memory, and who puts it lets go of it."""
        self._arrays.append(array)

    def take(self, size: int, dtype: np.dtype) -> np.ndarray:
        """An array of so many numbers, whatever they are: one that was put, or a new one."""
        arrays = self._arrays
        for index in range(len(arrays)):
            if arrays[index].size == size and arrays[index].dtype == dtype and _references(arrays, index) == _ALONE:
                array = arrays[index]
                del arrays[index]
                return array
        while len(arrays) > self._most:
            arrays.popleft()
        return np.empty(size, dtype)


def _references(arrays: deque[np.ndarray], index: int) -> int:
    """To an array or its views, somebody's blob among them."""
    return sys.getrefcount(arrays[index])


#: As many as an array has that is in a deque only.
_ALONE = _references(deque([np.empty(0)]), 0)
