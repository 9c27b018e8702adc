"""What one distribution says about a field of one of Caffe's messages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from google.protobuf.descriptor_pb2 import FieldDescriptorProto

_TYPE_NAMES = {number: name[5:].lower() for name, number in FieldDescriptorProto.Type.items()}
_LABEL_NAMES = {number: name[6:].lower() for name, number in FieldDescriptorProto.Label.items()}


@dataclass(frozen=True)
class Claim:
    """A field as a distribution declares it.

    Attributes:
        distribution: who says so.
        field: its descriptor.
        signature: what it means, without its numbers: claims of one signature agree.
    """

    distribution: str
    field: FieldDescriptorProto
    signature: tuple[Any, ...]

    def __str__(self) -> str:
        one = self.field
        kind = one.type_name.rpartition(".")[2] or _TYPE_NAMES[one.type]
        default = f" [default = {one.default_value}]" if one.HasField("default_value") else ""
        return f"{_LABEL_NAMES[one.label]} {kind} {one.name} = {one.number}{default}"
