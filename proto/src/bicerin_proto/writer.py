"""Write messages to files, as text and as binary."""

from __future__ import annotations

from os import PathLike

from google.protobuf import text_format
from google.protobuf.message import EncodeError, Message

from bicerin_proto.atomic import atomic_write
from bicerin_proto.errors import ProtoError
from bicerin_proto.file import MOST_BYTES
from bicerin_proto.quotation import printable

_TOO_LARGE = "a protobuf message holds at most 2 GiB; save weights of this size as HDF5"


def write_text(message: Message, path: str | PathLike[str]) -> None:
    """Write a message as prototxt, in one piece or not at all.

    Raises:
        ProtoError: the file cannot be written, or the text is too large for the memory or too deep for the stack.
    """
    try:
        text = text_format.MessageToString(message, as_utf8=True).encode()
    except (MemoryError, RecursionError) as error:
        what = "memory" if isinstance(error, MemoryError) else "stack"
        raise ProtoError(f"{printable(path)}: not written, its text needs more {what} than is available") from None
    with atomic_write(path) as file:
        file.write(text)


def write_binary(message: Message, path: str | PathLike[str]) -> None:
    """Write a message in binary (a caffemodel, a solverstate), in one piece or not at all.

    Raises:
        ProtoError: the message is incomplete or larger than 2 GiB, or the file cannot be written.
    """
    data = encode(message, path)
    with atomic_write(path) as file:
        file.write(data)


def encode(message: Message, name: object) -> bytes:
    """Return a message's bytes; `name` is what an error calls it, such as its path."""
    name = printable(name)
    if not message.IsInitialized():
        missing = printable(", ".join(message.FindInitializationErrors()))
        raise ProtoError(f"{name}: not written, {message.DESCRIPTOR.name} lacks {missing}")
    try:
        data: bytes = message.SerializeToString(deterministic=True)
    except (EncodeError, ValueError, MemoryError) as error:
        raise ProtoError(f"{name}: not written, {_TOO_LARGE} ({printable(error)})") from error
    if len(data) > MOST_BYTES:
        raise ProtoError(f"{name}: not written, {_TOO_LARGE} ({len(data)} bytes)")
    return data
