"""Watch: whether the parameters of a layer, and of those whose work it does, may have changed since the last pass."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bicerin.device.memory import changes
from bicerin.layer.abilities import Repetition


class Watch:
    """Of one layer.

    Args:
        layer: it.
    """

    def __init__(self, layer: Any) -> None:
        self._layer = layer
        self._absorbed: Sequence[Any] | None = None
        self._blobs: list[Any] = []
        self._slopes: list[Any] = []
        self._seen: list[Any] = []
        self._affine: list[Any] = []
        self._looked = -1

    def changed(self, absorbed: Sequence[Any]) -> bool:
        """Whether something may have changed since this was last asked.

        Args:
            absorbed: the layers whose work the layer does.
        """
        if absorbed is self._absorbed and self._looked == changes.number and self._affine == self._affines():
            return False
        looked = changes.number
        if absorbed is not self._absorbed:
            self._absorbed = absorbed
            self._blobs = [blob for layer in (self._layer, *absorbed) for blob in layer.blobs]
            self._slopes = [layer for layer in absorbed if not layer.blobs]
            self._seen = []
        seen: list[Any] = [blob.data_version for blob in self._blobs]
        if None in seen:
            self._seen, self._looked = [], -1
            return True
        affine = self._affines()
        same = seen == self._seen and affine == self._affine
        self._seen, self._affine, self._looked = seen, affine, looked
        return not same

    def repetition(self, *keeps: Any) -> Repetition | None:
        """What calls depend on that were made after `changed` was asked; None where it may be true at any time.

        Args:
            keeps: what the calls need.
        """
        if self._looked != changes.number:
            return None
        return Repetition([layer.affine for layer in self._slopes], keeps)

    def _affines(self) -> list[Any]:
        """What the layers without parameters do, whose attributes may be set at any time."""
        return [layer.affine() for layer in self._slopes]
