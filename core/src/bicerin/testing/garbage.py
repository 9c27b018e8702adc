"""Garbage: fresh arrays that are full of a value, so that a layer that reads one before it writes it is found."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from bicerin.device.device import get_device

_EMPTY = ("empty", "empty_like")


class Garbage:
    """While it is entered, `empty` and `empty_like` of NumPy and of a device's module give arrays full of `value`."""

    def __init__(self, value: float, device: str) -> None:
        self.value = value
        modules = {id(module): module for module in (np, get_device(device).xp)}
        self.kept = [(module, name, getattr(module, name)) for module in modules.values() for name in _EMPTY]

    def __enter__(self) -> None:
        for module, name, function in self.kept:
            setattr(module, name, self._filling(function))

    def __exit__(self, *_: object) -> None:
        for module, name, function in self.kept:
            setattr(module, name, function)

    def _filling(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def empty(*arguments: Any, **keywords: Any) -> Any:
            array = function(*arguments, **keywords)
            if array.dtype.kind == "f":
                array.fill(self.value)
            return array

        return empty
