"""Blobs as a user's code gets them."""

from __future__ import annotations

import weakref
from typing import Any

import numpy as np

from bicerin.device.device import CPU
from bicerin.layer.blob import Blob
from bicerin.layer.blob_view import BlobView, HandedOutView, require_kept, require_values


def handed_out(blob: Blob) -> Blob:
    """The blob for a user's code, one object as long as somebody has it; see `HandedOutBlob`."""
    if isinstance(blob, HandedOutBlob):
        return blob
    found: Blob | None = blob._handed_out() if blob._handed_out is not None else None
    if found is None:
        found = HandedOutBlob(blob)
        blob._handed_out = weakref.ref(found)  # weak, so that a net's memory goes with its last name
    return found


class HandedOutBlob(Blob):
    """A blob for a user's code, which may do to an array what no layer does: each access of `data` or `diff` is fresh.

    So a shape or a flag that is set in such an array is nobody else's. Layers, which ask for arrays in every call, keep
    one array in the blob itself. Everything else is that blob's.

    Args:
        blob: it.
    """

    __slots__ = ("__weakref__", "_blob")

    def __init__(self, blob: Blob) -> None:
        self._blob = blob

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f'a blob has no attribute "{name}"; its arrays on the host are data and diff.')

    def __reduce__(self) -> Any:
        raise TypeError("a blob cannot be pickled or copied: take its array, blob.data.copy().")

    @property
    def data(self) -> np.ndarray:
        """The values on the host, to read and write."""
        require_values(self._blob)
        return self._lent(self._data)

    @property
    def diff(self) -> np.ndarray:
        """The gradient on the host, to read and write.

        Raises:
            NetError: it is not kept: see `Solver`.
        """
        require_kept(self._blob)
        return self._lent(self._diff)

    @property
    def read_only(self) -> BlobView:
        """The blob with arrays that cannot be written."""
        return HandedOutView(self._blob, CPU, writes_data=False, writes_diff=False)

    @property
    def blob(self) -> Blob:
        return self._blob


def _delegated(name: str) -> property:
    return property(lambda self: getattr(self._blob, name), lambda self, value: setattr(self._blob, name, value))


for _name in Blob.__slots__:
    setattr(HandedOutBlob, _name, _delegated(_name))
