"""Write messages to files, as text and as binary."""

from __future__ import annotations

from os import PathLike

from google.protobuf import text_format
from google.protobuf.message import EncodeError, Message

from bicerin_proto.atomic import atomic_write
from bicerin_proto.errors import ProtoError

_MOST_BYTES = 2**31 - 1


def write_text(message: Message, path: str | PathLike[str]) -> None:
    """Write a message as prototxt, in one piece or not at all.

    Raises:
        ProtoError: the file cannot be written.
    """
    text = text_format.MessageToString(message, as_utf8=True)
    with atomic_write(path) as file:
        file.write(text.encode())


def write_binary(message: Message, path: str | PathLike[str]) -> None:
    """Write a message in binary (a caffemodel, a solverstate), in one piece or not at all.

    Raises:
        ProtoError: the message is incomplete or larger than 2 GiB, or the file cannot be written.
    """
    data = encode(message, path)
    with atomic_write(path) as file:
        file.write(data)


def encode(message: Message, name: object) -> bytes:
    """Return a message's bytes; `name` is what an error calls it."""
    if not message.IsInitialized():
        raise ProtoError(f"{name}: not written, {message.DESCRIPTOR.name} lacks {message.FindInitializationErrors()}")
    try:
        data: bytes = message.SerializeToString(deterministic=True)
    except (EncodeError, ValueError, MemoryError) as error:
        raise ProtoError(f"{name}: not written, {_TOO_LARGE} ({error})") from error
    if len(data) > _MOST_BYTES:
        raise ProtoError(f"{name}: not written, {_TOO_LARGE} ({len(data)} bytes)")
    return data


_TOO_LARGE = "a protobuf message holds at most 2 GiB; save weights of this size as HDF5"
