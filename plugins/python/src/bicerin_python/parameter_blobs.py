"""The learnable blobs of a Python layer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import bicerin_proto
from bicerin.errors import ShapeError
from bicerin.layer import Blob, Layer, fill
from bicerin.layer.blob import same_shape
from bicerin.layer.blob_list import BlobList


class ParameterBlobs(BlobList):
    """A list of blobs to which a layer adds its own in `setup`.

    Args:
        layer: whose blobs they become. Values that came with its parameters go to the blobs as they are added.
    """

    def __init__(self, layer: Layer) -> None:
        super().__init__()
        self._layer = layer
        self._given = list(layer.param.blobs)

    def add_blob(
        self,
        *shape: int | Sequence[int],
        filler: Any = None,
        lr_mult: float | None = None,
        decay_mult: float | None = None,
    ) -> Blob:
        """Add a blob and return it.

        Args:
            shape: the axes, as separate integers or as one sequence.
            filler: what it is filled with: the name of a filler, the fields of a `FillerParameter` as a dict, or such a
                message; zeros by default.
            lr_mult, decay_mult: used where the prototxt's `param` gives none.

        Raises:
            ShapeError: the layer's parameters brought a blob of another shape.
        """
        blob = self._layer.new_blob().blob
        blob.reshape(*shape)
        index = len(self)
        if index < len(self._given):
            given = self._given[index]
            if not same_shape(given, blob.shape):
                raise ShapeError(
                    f"parameter blob {index} must have the shape {blob.shape}, not {bicerin_proto.blob_shape(given)}."
                )
            blob.data.reshape(-1)[...] = bicerin_proto.blob_array(given).reshape(-1)
        elif filler is not None:
            fill(blob, _filler_parameter(filler), self._layer.context.random)
        self.append(blob)
        self._set_multipliers(index, lr_mult=lr_mult, decay_mult=decay_mult)
        return blob

    def check_given(self) -> None:
        """Raise a `ShapeError` if the layer's parameters brought blobs that the layer did not add."""
        if self._given and len(self._given) != len(self):
            raise ShapeError(f"it has {len(self)} parameter blob(s), but was given {len(self._given)}.")

    def _set_multipliers(self, index: int, **multipliers: float | None) -> None:
        specs = self._layer.param.param
        for name, value in multipliers.items():
            if value is None:
                continue
            while len(specs) <= index:
                specs.add()
            if not specs[index].HasField(name):
                setattr(specs[index], name, value)


def _filler_parameter(filler: str | Mapping[str, Any] | Any) -> Any:
    if isinstance(filler, str):
        return bicerin_proto.FillerParameter(type=filler)
    if isinstance(filler, Mapping):
        return bicerin_proto.FillerParameter(**filler)
    return filler
