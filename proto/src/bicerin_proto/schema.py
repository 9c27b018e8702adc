"""A schema: the message classes of Caffe, with or without the fields that plugins add.

Each schema has a descriptor pool of its own. Python's default pool is never touched, so that a process may also
import someone else's `caffe_pb2`, which claims the same names.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor
from google.protobuf.internal.enum_type_wrapper import EnumTypeWrapper
from google.protobuf.message import Message

from bicerin_proto.conflict import Conflict
from bicerin_proto.distribution import CAFFE
from bicerin_proto.errors import SchemaError
from bicerin_proto.file import read_file
from bicerin_proto.fragment import PACKAGE, Fragment
from bicerin_proto.merge import Merged, merge
from bicerin_proto.renumber import Renumberer


class Schema:
    """Message classes and enums by attribute: `schema.LayerParameter()`, `schema.Phase.Value("TRAIN")`.

    A plugin's own message is found by its name too. Where several plugins have different messages of one name, the one
    that fewer fields away from Caffe's own messages is used counts, and then the one of a plugin that does not give way
    to others. Where neither decides, only `plugin_type` finds them.

    Args:
        merged: the descriptors of the schema's files, and what plugins added to them.

    Attributes:
        pool: the schema's own descriptor pool.
        added: the fields that plugins add (`AddedField`), by message and name.
        conflicts: the names that mean different things to different providers (`Conflict`).
        forks: the names of the forks whose numbers in binary files are known.

    Raises:
        SchemaError: the descriptors contradict each other.
    """

    def __init__(self, merged: Merged) -> None:
        self.pool = descriptor_pool.DescriptorPool()
        for file in merged.files.file:
            try:
                self.pool.AddSerializedFile(file.SerializeToString())
            except TypeError as error:
                raise SchemaError(f"{file.name} cannot be merged with what plugins add to it: {error}") from error
        self.added = {(field.message, field.name): field for field in merged.added}
        self.conflicts = merged.conflicts
        self.forks = merged.forks
        self._meanings = merged.meanings
        self._own_types = merged.own_types
        self._giving_way = merged.giving_way

    @classmethod
    def merged(cls, fragments: Iterable[Fragment] = (), providers: Mapping[str, str] | None = None) -> Schema:
        """Return Caffe's schema with what plugins add to it. The order of the fragments does not matter.

        Args:
            fragments: the plugins' compiled .proto files.
            providers: which distribution's meaning of a field holds where they disagree, such as
                {"roi_pooling_param": "bicerin-rcnn"} or {"LayerParameter.roi_pooling_param": "bicerin-rcnn"}.

        Raises:
            SchemaError: a fragment is broken by itself. A disagreement between them is not an error until it matters.
        """
        found = frozenset(fragments)
        return _merged(found, frozenset((providers or {}).items())) if found else default_schema()

    @classmethod
    def check(cls, fragment: Fragment) -> None:
        """Check that a fragment by itself fits into Caffe's schema.

        Raises:
            SchemaError: it does not; the message names the distribution, the field and why.
        """
        cls.merged([fragment])

    def __getattr__(self, name: str) -> Any:
        """Return the message class or the enum `name`, which stays as an attribute."""
        if name.startswith("_"):
            raise AttributeError(name)
        found = self._find(f"{PACKAGE}.{name}") or self._find(self._plugins_name(name))
        if found is None:
            raise AttributeError(f'the schema has no message or enum "{name}"')
        setattr(self, name, found)
        return found

    def plugin_type(self, distribution: str, name: str) -> Any:
        """Return a plugin's own message class or enum.

        Raises:
            AttributeError: the plugin has no message or enum of that name.
        """
        found = self._find(f"{PACKAGE}.{Fragment(distribution, b'').namespace}.{name}")
        if found is None:
            raise AttributeError(f'{distribution} has no message or enum "{name}"')
        return found

    def plugin_documents(self) -> list[type[Message]]:
        """Return the plugins' own messages that no message has as a field: what a file of its own may hold."""
        own = [one for names in self._own_types.values() for name in names if (one := self._message(name)) is not None]
        caffes = self.pool.FindMessageTypeByName(f"{PACKAGE}.NetParameter").file.message_types_by_name.values()
        inside = {field.message_type.full_name for one in [*own, *caffes] for field in one.fields if field.message_type}
        return [self.message_class(one) for one in own if one.fields and one.full_name not in inside]

    def _message(self, full_name: str) -> Descriptor | None:
        try:
            return self.pool.FindMessageTypeByName(full_name)
        except KeyError:  # it is an enum
            return None

    def _find(self, full_name: str) -> type[Message] | EnumTypeWrapper | None:
        try:
            return self.message_class(self.pool.FindMessageTypeByName(full_name))
        except KeyError:
            pass
        try:
            return self.enum(self.pool.FindEnumTypeByName(full_name))
        except KeyError:
            return None

    def _plugins_name(self, name: str) -> str:
        """Return the full name of what the plugins' own type `name` is; see the class."""
        full_names = self._own_types.get(name, [""])
        if len(full_names) == 1:
            return full_names[0]
        ranks = {one: (self._depths.get(one, math.inf), one.split(".")[1] in self._giving_way) for one in full_names}
        first = [one for one in full_names if ranks[one] == min(ranks.values())]
        if len(first) > 1:
            raise AttributeError(f'several plugins have a "{name}" ({", ".join(first)}); use plugin_type')
        return first[0]

    @functools.cached_property
    def _depths(self) -> dict[str, int]:
        """How many fields lead from Caffe's messages to each type, by its full name."""
        file = self.pool.FindMessageTypeByName(f"{PACKAGE}.NetParameter").file
        found = {one.full_name: 0 for one in file.message_types_by_name.values()}
        nearest = list(file.message_types_by_name.values())
        while nearest:
            types = [one for message in nearest for field in message.fields if (one := _type(field)) is not None]
            new = {one.full_name: one for one in types if one.full_name not in found}
            found |= dict.fromkeys(new, found[nearest[0].full_name] + 1)
            nearest = [one for one in new.values() if isinstance(one, Descriptor)]
        return found

    def conflict(self, message: str, name: str) -> Conflict | None:
        """Return the undecided conflict about a field of a message ("LayerParameter"), or None."""
        for conflict in self.conflicts:
            if (conflict.message, conflict.name, conflict.winner) == (message, name, None):
                return conflict
        return None

    def is_repeated_elsewhere(self, message: str, name: str) -> bool:
        """Tell whether a plugin lets a field be given several times where Caffe, whose meaning holds, does not."""
        return any(
            (conflict.message, conflict.name, conflict.winner) == (message, name, CAFFE)
            and any(meaning.startswith("repeated ") for _, meaning in conflict.meanings)
            for conflict in self.conflicts
        )

    def renumbered(
        self, data: bytes, descriptor: Descriptor, owners: Mapping[str, str], fork: str | None = None
    ) -> bytes:
        """Return a binary message of any fork with the numbers of this schema; see `Renumberer`."""
        return Renumberer(self._meanings, owners, fork).renumbered(data, descriptor) if self._meanings else data

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
        cls: Any = self._find(message.DESCRIPTOR.full_name) or getattr(self, message.DESCRIPTOR.name)
        copy: Message = cls()
        if message.DESCRIPTOR is cls.DESCRIPTOR:
            copy.CopyFrom(message)
        else:
            copy.MergeFromString(message.SerializePartialToString())
        return copy


def _type(field: FieldDescriptor) -> Descriptor | EnumDescriptor | None:
    return field.message_type or field.enum_type


def own_files() -> descriptor_pb2.FileDescriptorSet:
    """Return the descriptors of Caffe's own schema, as shipped."""
    return descriptor_pb2.FileDescriptorSet.FromString(_shipped())


@functools.cache
def _shipped() -> bytes:
    return read_file(Path(__file__).parent / "caffe.binpb")


@functools.cache
def default_schema() -> Schema:
    """Return Caffe's own schema, without any plugin."""
    return Schema(Merged(own_files()))


@functools.lru_cache(maxsize=32)
def _merged(fragments: frozenset[Fragment], providers: frozenset[tuple[str, str]]) -> Schema:
    return Schema(merge(own_files(), fragments, dict(providers)))
