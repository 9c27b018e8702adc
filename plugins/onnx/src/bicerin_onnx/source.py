"""What stands for the layer that makes an input of a model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


class Source:
    """A node without a layer.

    Args:
        blob: what it makes.
        name: of the blob.
    """

    type = "Input"
    location = ""
    layer = None
    works_in_place = False
    bottom: Sequence[Any] = ()
    bottom_names: Sequence[str] = ()

    def __init__(self, blob: Any, name: str) -> None:
        self.name = name
        self.top = [blob]
        self.top_names = [name]
