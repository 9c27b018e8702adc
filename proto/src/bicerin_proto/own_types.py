"""The plugins' own messages and enums, and whether two of them mean the same.

Two types are the same if their signatures are equal; their full names differ from plugin to plugin.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto, FileDescriptorProto

from bicerin_proto.claim import Claim
from bicerin_proto.errors import SchemaError
from bicerin_proto.fragment import PACKAGE, Fragment, Parts

#: Of their defaults, "1" and "1.0" are the same.
_FLOATS = (FieldDescriptorProto.TYPE_FLOAT, FieldDescriptorProto.TYPE_DOUBLE)


class OwnTypes:
    """Own messages and enums, by their full names, such as ".caffe.bicerin_rcnn.ROIPoolingParameter".

    Attributes:
        definitions: their descriptors in the merged schema.
        names: for each name of a plugin's own message or enum, its full names without the first dot: one, or one for
            each meaning.
    """

    def __init__(self) -> None:
        self.definitions: dict[str, Any] = {}
        self.names: dict[str, list[str]] = {}
        self._distributions: dict[str, str] = {}
        self._signatures: dict[str, tuple[Any, ...]] = {}
        self._compared: set[tuple[str, str]] = set()

    def take(self, caffe: FileDescriptorProto, sorted_out: Iterable[tuple[Fragment, Parts]]) -> None:
        """Put the types of each fragment into Caffe's file, inside a message named after the distribution.

        Raises:
            SchemaError: a distribution defines a type twice, in different ways.
        """
        spaces: dict[str, DescriptorProto] = {}
        for fragment, part in sorted_out:
            space = spaces.setdefault(fragment.namespace, DescriptorProto(name=fragment.namespace))
            self._distributions[fragment.namespace] = fragment.distribution
            for kind in ("nested_type", "enum_type"):
                known = {one.name: one for one in getattr(space, kind)}
                for one in getattr(part.own, kind):
                    if known.get(one.name, one) != one:
                        raise SchemaError(f"{fragment.distribution}: defines {one.name} twice, in different ways")
                    if one.name not in known:
                        getattr(space, kind).add().CopyFrom(one)
        for name in sorted(spaces):
            if spaces[name].nested_type or spaces[name].enum_type:
                space = caffe.message_type.add()
                space.CopyFrom(spaces[name])
                self._index(space, f".{PACKAGE}.{name}")
        found: dict[str, dict[tuple[Any, ...], str]] = defaultdict(dict)
        for name in sorted(spaces):
            for one in (*spaces[name].nested_type, *spaces[name].enum_type):
                full_name = f".{PACKAGE}.{name}.{one.name}"
                found[one.name].setdefault(self.type_signature(full_name), full_name[1:])
        self.names = {name: list(full_names.values()) for name, full_names in found.items()}

    def _index(self, message: DescriptorProto, full_name: str) -> None:
        self.definitions[full_name] = message
        for enum in message.enum_type:
            self.definitions[f"{full_name}.{enum.name}"] = enum
        for nested in message.nested_type:
            self._index(nested, f"{full_name}.{nested.name}")

    def is_message(self, full_name: str) -> bool:
        """Tell whether a type is a plugin's own message."""
        return isinstance(self.definitions.get(full_name), DescriptorProto)

    def claim(self, full_name: str, one: FieldDescriptorProto) -> Claim:
        """Return what the distribution of an own message says about one of its fields."""
        distribution = self._distributions[full_name.removeprefix(f".{PACKAGE}.").partition(".")[0]]
        copy = FieldDescriptorProto()
        copy.CopyFrom(one)
        return Claim(distribution, copy, self.field_signature(one))

    def type_signature(self, full_name: str) -> tuple[Any, ...]:
        """Return what a type means, whatever it is called in full."""
        definition = self.definitions.get(full_name)
        if definition is None:
            return (full_name,)
        if full_name not in self._signatures:
            self._signatures[full_name] = ("recursive", definition.name)
            if isinstance(definition, DescriptorProto):
                inner = sorted((one.number, self.field_signature(one)) for one in definition.field)
            else:
                inner = sorted((value.number, value.name) for value in definition.value)
            self._signatures[full_name] = (definition.name, tuple(inner))
        return self._signatures[full_name]

    def field_signature(self, one: FieldDescriptorProto) -> tuple[Any, ...]:
        """Return what a field means, without its number."""
        default = one.default_value if one.HasField("default_value") else None
        if default is not None and one.type in _FLOATS:
            default = repr(float(default))
        return (one.name, one.label, one.type, str(default), self.type_signature(one.type_name))

    def changed(self) -> None:
        """Forget the signatures: some type has got more fields or values."""
        self._signatures.clear()

    def agree(self, one: str, other: str) -> bool:
        """Tell whether two types mean the same by each name that both have."""
        if one == other or one not in self.definitions or other not in self.definitions:
            return one == other
        if (one, other) in self._compared:  # a message inside itself
            return True
        self._compared.add((one, other))
        try:
            return self._agree_inside(self.definitions[one], self.definitions[other])
        finally:
            self._compared.discard((one, other))

    def _agree_inside(self, mine: Any, theirs: Any) -> bool:
        if not isinstance(mine, DescriptorProto) or not isinstance(theirs, DescriptorProto):
            if type(mine) is not type(theirs):
                return False
            numbers = {value.name: value.number for value in mine.value}
            return all(numbers.get(value.name, value.number) == value.number for value in theirs.value)
        known = {field.name: field for field in mine.field}
        return all(self.same(known[field.name], field) for field in theirs.field if field.name in known)

    def same(self, one: FieldDescriptorProto, other: FieldDescriptorProto) -> bool:
        """Tell whether two fields mean the same, or are of types that agree."""
        signature = self.field_signature(one)
        return signature == self.field_signature(other) or (
            signature[:4] == self.field_signature(other)[:4] and self.agree(one.type_name, other.type_name)
        )
