"""The sequences that pycaffe hands out. Scripts ask for their types by name, as `caffe._caffe.BlobVec`."""

from __future__ import annotations

from typing import Any

from bicerin.layer import Blob


class BlobVec(list[Blob]):
    """Blobs."""

    def add_blob(self, *shape: int) -> None:
        """Append a new blob of this shape."""
        self.append(Blob(shape))


class RawBlobVec(list[Blob]):
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
