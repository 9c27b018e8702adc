"""What a plugin adds to Caffe's schema: its compiled .proto, read and with every type under its merged name.

A plugin's .proto has a package of its own. A message in it that is named like one of Caffe's lists the fields that it
adds to that message; an enum that is named like one of Caffe's, the values. Every other message and enum is the
plugin's own. In the merged schema these lie inside a message named after the distribution, so that two plugins may use
one name: ROIPoolingParameter of bicerin-rcnn becomes `caffe.bicerin_rcnn.ROIPoolingParameter`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    EnumValueDescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
    FileDescriptorSet,
)
from google.protobuf.message import DecodeError as GoogleDecodeError
from google.protobuf.message import Message

from bicerin_proto import wire
from bicerin_proto.errors import SchemaError

PACKAGE = "caffe"
OPTION = 51301
"""The number of every option in bicerin.proto but those below."""

FORK_OPTION = 51303
"""The number of the options `fork` and `value_fork`."""

WITHOUT_OPTION = 51302
WITHOUT = ("OTHER", "SAME", "SIMILAR")
"""The number of the option `without`, and the names of its values."""

HONOURED_BY_OPTION = 51304


@dataclass(frozen=True, order=True)
class Fragment:
    """A plugin's share of the schema.

    Attributes:
        distribution: who ships it, such as "bicerin-rcnn".
        descriptor: what `compile_proto` made of its .proto: a serialized FileDescriptorSet.
    """

    distribution: str
    descriptor: bytes = field(repr=False)

    @property
    def namespace(self) -> str:
        """The message that the plugin's own messages lie in."""
        return re.sub(r"\W", "_", self.distribution)

    def files(self) -> list[FileDescriptorProto]:
        """Return the descriptors of its files.

        Raises:
            SchemaError: the bytes are not such descriptors, or the files are not proto2.
        """
        try:
            files = list(FileDescriptorSet.FromString(self.descriptor).file)
        except GoogleDecodeError:
            files = []
        if not files:
            raise SchemaError(
                f"{self.distribution}: its schema is not a compiled .proto ({len(self.descriptor)} bytes); "
                "compile it with: python -m bicerin_proto.compile FILE.proto"
            )
        for file in files:
            if file.syntax not in ("", "proto2"):
                raise SchemaError(f'{self.distribution}: {file.name} is {file.syntax}, expected syntax = "proto2"')
        return files

    def gives_way(self) -> bool:
        """Tell whether other plugins are right about names that they bring too: its option `(bicerin.gives_way)`."""
        return any(
            found.number == OPTION and found.wire_type == wire.VARINT and wire.varint(data, found.begin)[0] == 1
            for file in self.files()
            for data in [file.options.SerializeToString()]
            for found in wire.fields(data)
        )


@dataclass
class Parts:
    """The contents of a fragment under merged names.

    Attributes:
        fields: the fields it adds to each of Caffe's messages, by the message's name.
        values: the values it adds to each of Caffe's enums, by the enum's name below the package.
        own: a message that holds the plugin's own messages and enums.
    """

    fields: dict[str, list[FieldDescriptorProto]]
    values: dict[str, EnumDescriptorProto]
    own: DescriptorProto


def parts(fragment: Fragment, base: FileDescriptorProto) -> Parts:
    """Sort out what a fragment adds to Caffe's messages and what is its own.

    Raises:
        SchemaError: it refers to a type that neither it nor Caffe defines, or defines one twice.
    """
    return _Sorter(fragment, base).sort()


class _Sorter:
    def __init__(self, fragment: Fragment, base: FileDescriptorProto) -> None:
        self.fragment = fragment
        self.base_messages = {message.name: message for message in base.message_type}
        self.base_enums = {enum.name for enum in base.enum_type} | {
            f"{message.name}.{enum.name}" for message in base.message_type for enum in message.enum_type
        }
        self.names = {f".{PACKAGE}.{name}": f".{PACKAGE}.{name}" for name in (*self.base_messages, *self.base_enums)}
        self.result = Parts({}, {}, DescriptorProto(name=fragment.namespace))

    def sort(self) -> Parts:
        files = self.fragment.files()
        for file in files:
            prefix = f".{file.package}" if file.package else ""
            for message in file.message_type:
                self._name_types(f"{prefix}.{message.name}", message.name, message)
            for enum in file.enum_type:
                self._name_enum(f"{prefix}.{enum.name}", enum.name)
        for file in files:
            for message in file.message_type:
                self._take_message(message)
            for enum in file.enum_type:
                self._take_enum(enum, enum.name, self.result.own)
        return self.result

    def _name_types(self, full_name: str, name: str, message: DescriptorProto) -> None:
        if name in self.base_messages:
            self.names[full_name] = f".{PACKAGE}.{name}"
        else:
            self.names[full_name] = f".{PACKAGE}.{self.fragment.namespace}.{name}"
        for nested in message.nested_type:
            self._name_types(f"{full_name}.{nested.name}", f"{name}.{nested.name}", nested)
        for enum in message.enum_type:
            self._name_enum(f"{full_name}.{enum.name}", f"{name}.{enum.name}")

    def _name_enum(self, full_name: str, name: str) -> None:
        below = name if name in self.base_enums else f"{self.fragment.namespace}.{name}"
        self.names[full_name] = f".{PACKAGE}.{below}"

    def _take_message(self, message: DescriptorProto) -> None:
        if any(nested.options.map_entry for nested in message.nested_type):
            raise SchemaError(
                f"{self.fragment.distribution}: {message.name} has a map field, which Caffe's text format lacks; "
                "use a repeated message"
            )
        for one in _fields(message):
            self._rename(one, message.name)
        if message.name not in self.base_messages:
            self._add(self.result.own.nested_type, message)
            return
        for one in message.field:
            one.ClearField("oneof_index")  # A oneof cannot span what two plugins add.
        self.result.fields.setdefault(message.name, []).extend(message.field)
        # Types nested in one of Caffe's messages are the plugin's own, unless they are that message's enums.
        own = DescriptorProto(name=message.name, nested_type=message.nested_type)
        for enum in message.enum_type:
            self._take_enum(enum, f"{message.name}.{enum.name}", own)
        if own.nested_type or own.enum_type:
            self._add(self.result.own.nested_type, own)

    def _take_enum(self, enum: EnumDescriptorProto, name: str, own: DescriptorProto) -> None:
        if name in self.base_enums:
            self.result.values.setdefault(name, EnumDescriptorProto(name=name)).value.extend(enum.value)
        else:
            self._add(own.enum_type, enum)

    def _rename(self, one: FieldDescriptorProto, message: str) -> None:
        if one.type == FieldDescriptorProto.TYPE_GROUP:
            raise SchemaError(f"{self.fragment.distribution}: {message}.{one.name} is a group; use a message instead")
        if not one.type_name:
            return
        if one.type_name not in self.names:
            raise SchemaError(
                f"{self.fragment.distribution}: {message}.{one.name} has the type {one.type_name[1:]}, "
                "which neither the plugin nor Caffe defines; ship its .proto beside this one"
            )
        one.type_name = self.names[one.type_name]

    def _add(self, container: Any, definition: Any) -> None:
        for other in container:
            if other.name == definition.name and other != definition:
                raise SchemaError(f"{self.fragment.distribution}: defines {definition.name} twice, in different ways")
            if other.name == definition.name:
                return
        container.add().CopyFrom(definition)


def _fields(message: DescriptorProto) -> Iterator[FieldDescriptorProto]:
    yield from message.field
    for nested in message.nested_type:
        yield from _fields(nested)


def also_known_as(one: FieldDescriptorProto) -> tuple[int, ...]:
    """Return the numbers that a field's option `(bicerin.also_known_as)` lists."""
    data = one.options.SerializeToString()
    numbers: list[int] = []
    for found in wire.fields(data):
        if found.number == OPTION and found.wire_type == wire.VARINT:
            numbers.append(wire.varint(data, found.begin)[0])
        elif found.number == OPTION and found.wire_type == wire.LENGTH:
            at = found.begin
            while at < found.end:
                number, at = wire.varint(data, at)
                numbers.append(number)
    return tuple(numbers)


def forks(one: FieldDescriptorProto | EnumValueDescriptorProto) -> dict[int, frozenset[str]]:
    """Return what the options `(bicerin.fork)` say: a number -> the forks in whose files it stands for this."""
    data = one.options.SerializeToString()
    said: dict[int, set[str]] = {}
    for found in wire.fields(data):
        if found.number == FORK_OPTION and found.wire_type == wire.LENGTH:
            name, number = "", one.number
            for inner in wire.fields(data, found.begin, found.end):
                if (inner.number, inner.wire_type) == (1, wire.LENGTH):
                    name = data[inner.begin : inner.end].decode()
                elif (inner.number, inner.wire_type) == (2, wire.VARINT):
                    number = wire.varint(data, inner.begin)[0]
            said.setdefault(number, set()).add(name)
    return {number: frozenset(names) for number, names in said.items()}


def without_it(one: FieldDescriptorProto) -> int:
    """Return what a field's option `(bicerin.without)` says, as an index of `WITHOUT`."""
    data = one.options.SerializeToString()
    said = [wire.varint(data, found.begin)[0] for found in wire.fields(data) if found.number == WITHOUT_OPTION]
    return said[-1] if said and said[-1] < len(WITHOUT) else 0


def honoured_by(one: FieldDescriptorProto) -> frozenset[str]:
    """Return the layer types that a field's options `(bicerin.honoured_by)` name; none where all honour it."""
    data = one.options.SerializeToString()
    return frozenset(
        data[found.begin : found.end].decode()
        for found in wire.fields(data)
        if (found.number, found.wire_type) == (HONOURED_BY_OPTION, wire.LENGTH)
    )


def layer_type(options: Message) -> str | None:
    """Return what an enum value's option `(bicerin.layer_type)` says, or None."""
    data = options.SerializeToString()
    for found in wire.fields(data):
        if found.number == OPTION and found.wire_type == wire.LENGTH:
            return data[found.begin : found.end].decode()
    return None
