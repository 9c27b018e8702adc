"""Caffe's messages and enums, with the fields that the installed plugins add.

They come from a descriptor pool of their own, so that another library's `caffe.proto` may be in the same process.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from google.protobuf.descriptor import Descriptor, EnumDescriptor, FileDescriptor

from bicerin.schema.installed_schema import schema as _schema


def __getattr__(name: str) -> Any:
    schema = _schema()
    names = _names(schema, schema.NetParameter.DESCRIPTOR.file)
    if name == "__all__":
        return [known for known in names if not known.startswith("_")]
    if name in names:
        return names[name]
    if name.startswith("__"):
        raise AttributeError(name)
    try:
        return getattr(schema, name)  # a plugin's own message
    except AttributeError as error:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}: {error}") from None


def __dir__() -> list[str]:
    schema = _schema()
    return sorted({*globals(), *_names(schema, schema.NetParameter.DESCRIPTOR.file)})


@lru_cache(maxsize=4)
def _names(schema: Any, file: FileDescriptor) -> Mapping[str, Any]:
    """What a generated module has: messages, enums, the values of enums, and their descriptors as _NETPARAMETER."""
    found: dict[str, Any] = {"DESCRIPTOR": file}
    for name, message in file.message_types_by_name.items():
        cls = schema.message_class(message)
        cls.__module__ = __name__  # where pickle looks for it
        found[name] = cls
        _add_descriptors(found, f"_{name.upper()}", message)
    for name, enum in file.enum_types_by_name.items():
        found[name] = schema.enum(enum)
        found[f"_{name.upper()}"] = enum
        found.update((value.name, value.number) for value in enum.values)
    return found


def _add_descriptors(found: dict[str, Any], name: str, descriptor: Descriptor | EnumDescriptor) -> None:
    found[name] = descriptor
    if isinstance(descriptor, Descriptor):
        for inner in (*descriptor.nested_types, *descriptor.enum_types):
            _add_descriptors(found, f"{name}_{inner.name.upper()}", inner)
