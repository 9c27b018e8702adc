"""Parse binary messages, and say what is wrong with bytes that are not one."""

from __future__ import annotations

from collections.abc import Mapping

from google.protobuf.message import DecodeError as GoogleDecodeError
from google.protobuf.message import Message

from bicerin_proto import wire
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
) -> None:
    """Parse `data` into `message`.

    Args:
        name: what an error calls the data: its file.
        expected: what the data should be, such as "NetParameter".
        schema: the schema of `message`, where plugins may have added to it.
        owners: the distribution that owns each layer type, for numbers that mean different things in different forks.

    Raises:
        DecodeError: the data is truncated, is not such a message, or needs more memory or a deeper stack than there is.
            It names file, size and what was expected.
    """
    if not data:
        raise DecodeError(f"{name}: is empty, expected a binary {expected}")
    try:
        message.MergeFromString(schema.renumbered(data, message.DESCRIPTOR, owners or {}) if schema else data)
    except DecodeError as error:
        raise DecodeError(f"{name}: {error}") from None
    except (wire.WireError, GoogleDecodeError, UnicodeDecodeError) as error:
        raise DecodeError(f"{name}: not a binary {expected} ({len(data)} bytes): {_defect(data, error)}") from None
    except (MemoryError, RecursionError) as error:
        what = "memory" if isinstance(error, MemoryError) else "stack"
        raise DecodeError(f"{name}: a {expected} of {len(data)} bytes needs more {what} than there is") from None


def _defect(data: bytes, error: Exception) -> str:
    try:
        for _ in wire.fields(data):
            pass
    except wire.WireError as defect:
        return str(defect)
    return printable(error)
