"""A schema: the message classes of Caffe, with or without the fields that plugins add.

Each schema has a descriptor pool of its own. Python's default pool is never touched, so that a process may also
import someone else's `caffe_pb2`, which claims the same names.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.descriptor import Descriptor, EnumDescriptor
from google.protobuf.internal.enum_type_wrapper import EnumTypeWrapper
from google.protobuf.message import Message

PACKAGE = "caffe"


class Schema:
    """Message classes and enums by attribute: `schema.LayerParameter()`, `schema.Phase.Value("TRAIN")`.

    Args:
        files: the descriptors of the schema's files, each after what it imports.
    """

    def __init__(self, files: descriptor_pb2.FileDescriptorSet) -> None:
        self.pool = descriptor_pool.DescriptorPool()
        for file in files.file:
            self.pool.AddSerializedFile(file.SerializeToString())
        self.message_names = frozenset(
            message.name for file in files.file if file.package == PACKAGE for message in file.message_type
        )

    def __getattr__(self, name: str) -> Any:
        """Return the message class or the enum `name`, which stays as an attribute."""
        if name.startswith("_"):
            raise AttributeError(name)
        try:
            found = self._find(name)
        except KeyError:
            raise AttributeError(f'the schema has no message or enum "{name}"') from None
        setattr(self, name, found)
        return found

    def _find(self, name: str) -> type[Message] | EnumTypeWrapper:
        full_name = f"{PACKAGE}.{name}"
        try:
            return self.message_class(self.pool.FindMessageTypeByName(full_name))
        except KeyError:
            return self.enum(self.pool.FindEnumTypeByName(full_name))

    @staticmethod
    def message_class(descriptor: Descriptor) -> type[Message]:
        """Return the class of a message of this schema's pool."""
        return message_factory.GetMessageClass(descriptor)

    @staticmethod
    def enum(descriptor: EnumDescriptor) -> EnumTypeWrapper:
        """Return an enum with `Value(name)`, `Name(number)`, `keys()` and `values()`."""
        return EnumTypeWrapper(descriptor)

    def own(self, message: Message) -> Message:
        """Return a copy of `message` as a message of this schema, whichever schema or `caffe_pb2` it comes from.

        Raises:
            AttributeError: the schema has no message of that name.
        """
        cls = getattr(self, message.DESCRIPTOR.name)
        copy: Message = cls()
        if message.DESCRIPTOR is cls.DESCRIPTOR:
            copy.CopyFrom(message)
        else:
            copy.MergeFromString(message.SerializePartialToString())
        return copy


def own_files() -> descriptor_pb2.FileDescriptorSet:
    """Return the descriptors of Caffe's own schema, as shipped."""
    return descriptor_pb2.FileDescriptorSet.FromString((Path(__file__).parent / "caffe.binpb").read_bytes())


@functools.cache
def default_schema() -> Schema:
    """Return Caffe's own schema, without any plugin."""
    return Schema(own_files())
