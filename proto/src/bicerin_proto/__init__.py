"""Caffe's protobuf schema, prototxt and caffemodel files, and how plugins add fields of their own.

    read_net, read_solver       -> Document: the message, and where its layers stood in the file
    read_weights                -> Weights: of any fork of Caffe
    write_text, write_binary, atomic_write
    read_file, read_text, open_file, printable      a file, or an error that names it; text as a message may quote it
    Hdf5Reader, is_hdf5, h5py   HDF5, or an error that names the file and the dataset
    machine_memory              how many bytes there are
    blob_array, array_blob, blob_shape
    upgrade_net, upgrade_solver
    Schema, default_schema      Schema.merged([Fragment(distribution, compiled .proto), ...])
    NetParameter, LayerParameter, Phase, ...        the messages and enums of Caffe's own schema

Importing this module imports neither protobuf nor NumPy; each name loads what it needs when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from bicerin_proto.errors import BicerinError, DecodeError, MissingFileError, ParseError, ProtoError, SchemaError

if TYPE_CHECKING:
    from bicerin_proto.atomic import atomic_write
    from bicerin_proto.blob import array_blob, blob_array, blob_shape
    from bicerin_proto.compile import check_current, compile_proto
    from bicerin_proto.document import Document, read_net, read_solver
    from bicerin_proto.file import open_file, read_file, read_text
    from bicerin_proto.fragment import Fragment
    from bicerin_proto.hdf5 import Hdf5Reader, h5py, is_hdf5
    from bicerin_proto.memory import machine_memory
    from bicerin_proto.quotation import printable
    from bicerin_proto.schema import Schema, default_schema
    from bicerin_proto.text import parse_text
    from bicerin_proto.upgrade import upgrade_net, upgrade_solver
    from bicerin_proto.weights import LayerWeights, Weights, read_weights
    from bicerin_proto.writer import write_binary, write_text

__all__ = [
    "BicerinError",
    "DecodeError",
    "Document",
    "Fragment",
    "Hdf5Reader",
    "LayerWeights",
    "MissingFileError",
    "ParseError",
    "ProtoError",
    "Schema",
    "SchemaError",
    "Weights",
    "array_blob",
    "atomic_write",
    "blob_array",
    "blob_shape",
    "check_current",
    "compile_proto",
    "default_schema",
    "h5py",
    "is_hdf5",
    "machine_memory",
    "open_file",
    "parse_text",
    "printable",
    "read_file",
    "read_net",
    "read_solver",
    "read_text",
    "read_weights",
    "upgrade_net",
    "upgrade_solver",
    "write_binary",
    "write_text",
]

_MODULES = {
    "Document": "document",
    "Fragment": "fragment",
    "Hdf5Reader": "hdf5",
    "LayerWeights": "weights",
    "Schema": "schema",
    "Weights": "weights",
    "array_blob": "blob",
    "atomic_write": "atomic",
    "blob_array": "blob",
    "blob_shape": "blob",
    "check_current": "compile",
    "compile_proto": "compile",
    "default_schema": "schema",
    "h5py": "hdf5",
    "is_hdf5": "hdf5",
    "machine_memory": "memory",
    "open_file": "file",
    "parse_text": "text",
    "printable": "quotation",
    "read_file": "file",
    "read_net": "document",
    "read_solver": "document",
    "read_text": "file",
    "read_weights": "weights",
    "upgrade_net": "upgrade",
    "upgrade_solver": "upgrade",
    "write_binary": "writer",
    "write_text": "writer",
}


def __getattr__(name: str) -> Any:
    # Messages and enums begin with a capital; any other name is not the schema's.
    if name not in _MODULES and not name[0].isupper():
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name in _MODULES:
        found = getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
    else:
        from bicerin_proto.schema import default_schema

        try:
            found = getattr(default_schema(), name)
        except AttributeError:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from None
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
