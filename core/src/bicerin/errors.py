"""Every error that Bicerin raises.

    BicerinError
    ├── ProtoError               a file of Caffe's formats (raised by bicerin_proto)
    │   ├── MissingFileError     it is not there
    │   ├── ParseError           text: has path, line and column
    │   └── DecodeError          binary: truncated or garbage
    ├── PluginError              an installed distribution, or one that should be
    │   ├── UnknownNameError     nobody provides this layer type, device, filler or solver
    │   ├── ConflictError        two distributions provide it
    │   ├── BrokenPluginError    its import failed; the original exception is the cause
    │   └── IncompatiblePluginError   written for another layer API
    ├── DeviceError              a device that is missing or cannot do what was asked
    ├── NetError                 a net that cannot be built or run
    ├── LayerError               one layer; says where it stands, and its blobs' shapes
    │   ├── BlobCountError       too few or too many bottoms or tops
    │   ├── ShapeError           shapes, axes or parameters that do not fit
    │   ├── DataError            a store or record of input data
    │   │   └── MissingDataError     it is not there
    │   └── UserCodeError        a Python layer raised; the original exception is the cause
    ├── WeightsError             weights that do not fit the net
    ├── ParallelError            processes that cannot work together
    ├── IgnoredOptionError       an option that changes the results, and that no installed layer or solver knows
    ├── SpecError                a net written in Python that names what a layer does not have
    └── SolverError              a solver's parameters
        └── SnapshotError        a snapshot that cannot be written or restored

Raise a `LayerError` inside a layer with the bare reason: the layer's wrapper adds the rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bicerin_proto.errors import BicerinError, DecodeError, MissingFileError, ParseError, ProtoError
from bicerin_proto.quotation import message_text, printable

__all__ = [
    "BicerinError",
    "BlobCountError",
    "BrokenPluginError",
    "ConflictError",
    "DataError",
    "DecodeError",
    "DeviceError",
    "IgnoredOptionError",
    "IncompatiblePluginError",
    "LayerError",
    "MissingDataError",
    "MissingFileError",
    "NetError",
    "ParallelError",
    "ParseError",
    "PluginError",
    "ProtoError",
    "ShapeError",
    "SnapshotError",
    "SolverError",
    "SpecError",
    "UnknownNameError",
    "UserCodeError",
    "WeightsError",
]


class PluginError(BicerinError):
    """An installed distribution cannot be used, or one that is needed is not installed."""


class UnknownNameError(PluginError):
    """No installed distribution provides the name that was asked for."""


class ConflictError(PluginError):
    """Several distributions provide one name and nothing says which to take."""


class BrokenPluginError(PluginError):
    """A plugin failed to import. The exception that it raised is the `__cause__`."""


class IncompatiblePluginError(PluginError):
    """A plugin was written for a layer API that this core does not have."""


class DeviceError(BicerinError):
    """A device is missing, unknown, or lacks what was asked of it."""


class NetError(BicerinError):
    """A net cannot be built from its description, or was run in a way that it cannot be."""


class WeightsError(BicerinError):
    """Weights do not fit the net that they are loaded into."""


class ParallelError(BicerinError):
    """Processes that were to train together are not connected, differ, or wait for one that does not come."""


class IgnoredOptionError(BicerinError):
    """A net or solver sets an option that no installed layer or solver knows, and that changes what is computed."""


class SpecError(BicerinError, AttributeError):
    """A net written in Python gives a layer a parameter that the layer does not have."""


class SolverError(BicerinError):
    """A solver's parameters do not make sense."""


class SnapshotError(SolverError):
    """A snapshot cannot be written, or does not belong to this solver."""


class LayerError(BicerinError):
    """One layer cannot do what is asked of it.

    Args:
        reason: what is wrong, with the numbers.
        hint: what would be right.
    """

    def __init__(self, reason: str, hint: str | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.hint = hint
        self.layer_name: str | None = None
        self.layer_type: str | None = None
        self.location: str | None = None
        self.net_name: str | None = None
        self._blobs: list[str] = []

    def locate(self, layer: Any, bottom: Sequence[Any], top: Sequence[Any]) -> None:
        """Say where it happened. The innermost layer wins: a second call changes nothing."""
        if self.layer_type is not None:
            return
        self.layer_name = layer.name
        self.layer_type = layer.type
        self.location = layer.context.location
        self.net_name = layer.context.net_name
        self._blobs = [_described("bottom", bottom), _described("top", top)]

    def __str__(self) -> str:
        lines = []
        if self.layer_type is None:
            lines.append(self.reason)
        else:
            where = f"{self.location}: " if self.location else ""
            lines.append(f'{where}layer "{printable(self.layer_name)}" ({self.layer_type}): {self.reason}')
            lines += [f"  {line}" for line in self._blobs if line]
        if self.hint:
            lines.append(f"  {self.hint}")
        return message_text("\n".join(lines))


class BlobCountError(LayerError):
    """A layer was given fewer or more bottoms or tops than it declares."""


class ShapeError(LayerError):
    """A layer's bottoms, its axes or its parameters do not fit together."""


class DataError(LayerError):
    """A data store, or a record in it, cannot be read. Commands raise it too, without a layer."""


class MissingDataError(DataError):
    """A file or store that input data comes from is not there."""


class UserCodeError(LayerError):
    """The user's own code in a Python layer raised; its exception is the `__cause__`."""


def _described(kind: str, blobs: Sequence[Any]) -> str:
    if not blobs:
        return ""
    parts = ", ".join(f"{printable(blob.name) or f'[{i}]'} {blob.shape}" for i, blob in enumerate(blobs))
    return f"{kind}: {parts}"
