"""Parse binary messages, and say what is wrong with bytes that are not one."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import DecodeError as GoogleDecodeError
from google.protobuf.message import Message

from bicerin_proto import wire
from bicerin_proto.cardinality import is_repeated
from bicerin_proto.errors import DecodeError
from bicerin_proto.quotation import printable
from bicerin_proto.schema import Schema


def decode(
    data: bytes,
    message: Message,
    name: str,
    expected: str,
    schema: Schema | None = None,
    owners: Mapping[str, str] | None = None,
    fork: str | None = None,
) -> None:
    """Parse `data` into `message`.

    Args:
        name: what an error calls the data: its file.
        expected: what the data should be, such as "NetParameter".
        schema: the schema of `message`, where plugins may have added to it.
        owners: the distribution that owns each layer type, for numbers that mean different things in different forks.
        fork: the fork whose file it is, where that is known.

    Raises:
        DecodeError: the data is truncated, is not such a message, or needs more memory or stack than is available. It
            names the file, its size and what was expected.
    """
    if not data:
        raise DecodeError(f"{name}: is empty, expected a binary {expected}")
    try:
        message.MergeFromString(schema.renumbered(data, message.DESCRIPTOR, owners or {}, fork) if schema else data)
    except DecodeError as error:
        raise DecodeError(f"{name}: {error}") from None
    except (wire.WireError, GoogleDecodeError, UnicodeDecodeError) as error:
        raise DecodeError(f"{name}: not a binary {expected} ({len(data)} bytes): {_defect(data, error)}") from None
    except (MemoryError, RecursionError) as error:
        what = "memory" if isinstance(error, MemoryError) else "stack"
        raise DecodeError(f"{name}: a {expected} of {len(data)} bytes needs more {what} than is available") from None


def check_strings(message: Message, name: str) -> None:
    """Check that all strings in a message are UTF-8. Protobuf does not check this when it parses a message.

    It returns such a string as bytes, which then fail wherever a string is expected.

    Args:
        name: what an error calls the message: its file.

    Raises:
        DecodeError: one of them is not. It names the field.
    """
    for path, value in _strings(message, ""):
        if isinstance(value, bytes):
            quoted = printable(value.decode(errors="surrogateescape"))
            raise DecodeError(f'{name}: {path} is not UTF-8: "{quoted}"')


def _strings(message: Message, prefix: str) -> Iterator[tuple[str, Any]]:
    for field, value in message.ListFields():
        if not _has_strings(field):
            continue
        path = prefix + field.name
        values = (
            [(f"{path}[{index}]", one) for index, one in enumerate(value)] if is_repeated(field) else [(path, value)]
        )
        for at, one in values:
            if field.message_type is not None:
                yield from _strings(one, f"{at}.")
            else:
                yield at, one


@functools.lru_cache(maxsize=4096)
def _has_strings(field: FieldDescriptor) -> bool:
    """Tell whether a string may be in a field: neither in numbers nor in the blobs, of which there may be many."""
    if field.message_type is None:
        return bool(field.type == FieldDescriptor.TYPE_STRING)
    return field.message_type.full_name != "caffe.BlobProto"


def _defect(data: bytes, error: Exception) -> str:
    try:
        for _ in wire.fields(data):
            pass
    except wire.WireError as defect:
        return str(defect)
    return printable(error)
