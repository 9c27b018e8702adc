"""Net inputs: what a user gives a net, checked against what it takes."""

from __future__ import annotations

from typing import Any

import numpy as np

from bicerin.errors import NetError


def input_array(name: str, shape: tuple[int, ...], value: Any) -> np.ndarray:
    """The array for an input blob of this shape; it may have other axes, but not another number of them.

    Raises:
        NetError: it is no array of numbers, has another number of axes, or its channels come last.
    """
    expected = f'input "{name}" is {shape}{", N C H W" if len(shape) == 4 else ""}'
    if value is None:
        raise NetError(f"{expected}; got None. Was the image read?")
    try:
        array = np.asarray(value)
        numbers = array.dtype.kind in "fiub"
    except ValueError:  # rows of different lengths
        numbers = False
    if not numbers:
        raise NetError(f"{expected}, of numbers; got {type(value).__name__} that is not an array of numbers.")
    other_axes = shape and array.ndim != len(shape)
    if other_axes or (array.ndim == 4 == len(shape) and array.shape[1] != shape[1] == array.shape[3]):
        raise NetError(f"{expected}; got an array of shape {array.shape}.{_channels_last(array.shape, shape)}")
    return array


def _channels_last(given: tuple[int, ...], expected: tuple[int, ...]) -> str:
    if len(given) >= 3 <= len(expected) and given[-1] in (1, 3, 4):
        return " Its channels come last: array.transpose puts them before the rows and columns."
    return ""
