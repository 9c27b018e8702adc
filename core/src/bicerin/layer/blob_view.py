"""Blob views: a blob as the host or a device sees it."""

from __future__ import annotations

from typing import Any

import numpy as np

from bicerin.device.device import Device
from bicerin.device.memory import Memory
from bicerin.errors import NetError


class BlobView:
    """A blob as one side sees it: `data` and `diff` are that side's arrays. The rest is the blob's own.

    A layer gets its bottoms and tops in this form where its net's device has memory of its own; see `Blob.on`.
    """

    __slots__ = ("_side", "_writes_data", "_writes_diff", "blob")

    def __init__(self, blob: Any, side: Device, writes_data: bool, writes_diff: bool) -> None:
        self.blob = blob
        self._side = side
        self._writes_data = writes_data
        self._writes_diff = writes_diff

    def __repr__(self) -> str:
        return f"{self.blob!r} on {self._side!r}"

    def __getattr__(self, name: str) -> Any:
        return getattr(self.blob, name)

    @property
    def read_only(self) -> BlobView:
        """The blob with this side's arrays to read only, so that the other side's copy stays valid."""
        if not self._writes_data and not self._writes_diff:
            return self
        return BlobView(self.blob, self._side, writes_data=False, writes_diff=False)

    @property
    def data(self) -> Any:
        """The values on this side."""
        return self._array("data", self.blob._data, self._writes_data)

    @property
    def diff(self) -> Any:
        """The gradient on this side."""
        return self._array("diff", self.blob._diff, self._writes_diff)

    def _array(self, kind: str, memory: Memory, write: bool) -> Any:
        blob = self.blob
        if self._side.is_host:
            return getattr(blob, kind) if write else blob._shaped(kind, memory.host_array(write=False))
        buffer = memory.device_array(write)
        if write:
            return blob._shaped((kind, "device"), buffer)
        cached = blob._arrays.get((kind, "read"))
        if cached is not None and cached[0] is buffer:
            return cached[1]
        array = self._side.read_only(buffer[: blob.count].reshape(blob.shape))
        blob._arrays[(kind, "read")] = (buffer, array)
        return array


class HostView(BlobView):
    """A blob with the host's arrays to read only, the short way."""

    __slots__ = ()

    @property
    def data(self) -> np.ndarray:
        blob = self.blob
        return blob._shaped("data", blob._data.host_array(False))

    @property
    def diff(self) -> np.ndarray:
        blob = self.blob
        return blob._shaped("diff", blob._diff.host_array(False))


class HandedOutView(BlobView):
    """A blob to read only, for a user's code. Layers get arrays whose flags let them write, since a kernel would be
    compiled a second time for those that do not.
    """

    __slots__ = ()

    @property
    def data(self) -> np.ndarray:
        require_values(self.blob)
        return not_writable(super().data)

    @property
    def diff(self) -> np.ndarray:
        require_kept(self.blob)
        return not_writable(super().diff)


def require_values(blob: Any) -> None:
    """See that a blob has its values, which somebody wants to read, and not those of another in the same memory."""
    if blob._data.passes and blob.renew is not None:
        blob.renew()


def require_kept(blob: Any) -> None:
    """Refuse to show a gradient in whose memory there may be another one by now."""
    if blob._diff.passes:
        raise NetError(
            f'the gradient of blob "{blob.name}" is not kept: in a solver\'s steps, gradients of blobs share memory. '
            "Build the solver with keep_gradients=True, or hold the array from before the step on, as in "
            f'gradient = net.blobs["{blob.name}"].diff; net.forward() and net.backward() keep all.'
        )


def not_writable(array: np.ndarray) -> np.ndarray:
    array = array.view()
    array.flags.writeable = False
    return array
