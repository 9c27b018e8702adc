"""The sequences that pycaffe hands out. Scripts ask for their types by name, as `caffe._caffe.BlobVec`."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from typing import Any, NoReturn, TypeVar

from bicerin.layer import Blob
from bicerin.layer.blob_list import BlobList, cannot_be_replaced

Value = TypeVar("Value")


class NamedBlobs(OrderedDict[str, Value]):
    """Blobs, or those of a layer, by name."""

    def __init__(self, items: Iterable[tuple[str, Value]]) -> None:
        super().__init__()
        for name, value in items:
            super().__setitem__(name, value)

    def __setitem__(self, name: Any, value: Any) -> NoReturn:
        raise cannot_be_replaced(f"[{name!r}]" + ("[0]" if isinstance(self.get(name), list) else ""))

    def copy(self) -> Any:
        """A mapping to change at will, of the same blobs."""
        return OrderedDict(self)

    __copy__ = copy

    def __reduce__(self) -> Any:
        return OrderedDict, (list(self.items()),)


class BlobVec(BlobList):
    """Blobs."""

    def add_blob(self, *shape: int) -> None:
        """Append a new blob of this shape."""
        self.append(Blob(shape))


class RawBlobVec(BlobList):
    """Blobs: the bottoms and tops of a layer."""


class LayerVec(list[Any]):
    """Layers."""


class NetVec(list[Any]):
    """Nets."""


class StringVec(list[str]):
    """Names."""


class IntVec(list[int]):
    """Indices."""


class DtypeVec(list[float]):
    """Numbers."""


class BoolVec(list[bool]):
    """Flags."""
