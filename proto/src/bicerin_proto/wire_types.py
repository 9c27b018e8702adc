"""The wire types that a field's values can have."""

from __future__ import annotations

from google.protobuf.descriptor_pb2 import FieldDescriptorProto

from bicerin_proto import wire

_FIXED32 = (FieldDescriptorProto.TYPE_FLOAT, FieldDescriptorProto.TYPE_FIXED32, FieldDescriptorProto.TYPE_SFIXED32)
_FIXED64 = (FieldDescriptorProto.TYPE_DOUBLE, FieldDescriptorProto.TYPE_FIXED64, FieldDescriptorProto.TYPE_SFIXED64)
_LENGTH = (FieldDescriptorProto.TYPE_STRING, FieldDescriptorProto.TYPE_BYTES, FieldDescriptorProto.TYPE_MESSAGE)


def wire_types(one: FieldDescriptorProto) -> frozenset[int]:
    """Return them: two for a repeated number, which may be packed."""
    if one.type in _LENGTH:
        return frozenset({wire.LENGTH})
    single = wire.FIXED32 if one.type in _FIXED32 else wire.FIXED64 if one.type in _FIXED64 else wire.VARINT
    repeated = one.label == FieldDescriptorProto.LABEL_REPEATED
    return frozenset({single, wire.LENGTH} if repeated else {single})
