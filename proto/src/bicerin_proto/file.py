"""Read a file, or say what is wrong with it. Every path that a user gives comes through here."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator
from os import PathLike
from pathlib import Path
from typing import IO, BinaryIO

from bicerin_proto.errors import MissingFileError, ProtoError
from bicerin_proto.quotation import printable, system_reason

MOST_BYTES = 2**31 - 1
"""What a protobuf message may have."""

_MOST_OF_DEVICE = 1 << 26
"""A device is read up to here: what is typed into a terminal ends before it, /dev/zero never ends."""

_CHUNK = 1 << 20


def read_file(path: str | PathLike[str], most: int = MOST_BYTES) -> bytes:
    """Return the bytes of a file. A pipe or a device is read to its end.

    Args:
        path: where it is.
        most: how many bytes it may have.

    Raises:
        ProtoError: there is no such file, it is a folder, it cannot be read, it is larger than `most` (or does not fit
            into memory), or there can be no file of that path. The message names the path.
    """
    name = printable(path)
    with _faults_named(name), open(path, "rb") as file:
        return _contents(file, name, most)


def read_text(path: str | PathLike[str], most: int = MOST_BYTES) -> str:
    """Return the text of a file in UTF-8, without the mark that some editors put before it.

    Raises:
        ProtoError: as `read_file`; or it is not text.
    """
    try:
        return read_file(path, most).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ProtoError(f"{printable(path)}: is not text: byte {error.start} is not UTF-8") from None


def open_file(path: str | PathLike[str]) -> BinaryIO:
    """Open a file, without a buffer, that is read here and there rather than from beginning to end.

    Raises:
        ProtoError: as `read_file`; or it is a pipe or a device.
    """
    name = printable(path)
    with _faults_named(name):
        # Opening a pipe would wait until somebody writes to it.
        mode = os.stat(path).st_mode
        if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
            raise ProtoError(f"{name}: is a device or a pipe, expected a file")
        return open(path, "rb", buffering=0)


@contextlib.contextmanager
def _faults_named(name: str) -> Iterator[None]:
    """Name the path in whatever goes wrong with it."""
    try:
        yield
    except FileNotFoundError:
        raise MissingFileError(f"{name}: no such file (looked from {_working_folder()})") from None
    except IsADirectoryError:
        raise ProtoError(f"{name}: is a folder, expected a file") from None
    except OSError as error:
        raise ProtoError(f"{name}: cannot be read: {system_reason(error)}") from error
    except ValueError as error:  # a NUL, or a character that the file system's encoding does not have
        raise ProtoError(f"{name}: cannot be the path of a file: {system_reason(error)}") from error
    except MemoryError:
        raise ProtoError(f"{name}: does not fit into memory") from None


def _contents(file: IO[bytes], name: str, most: int) -> bytes:
    status = os.fstat(file.fileno())
    if stat.S_ISREG(status.st_mode) and status.st_size > most:
        raise ProtoError(f"{name}: has {status.st_size} bytes, expected at most {most}")
    if stat.S_ISREG(status.st_mode) and status.st_size:
        return file.read()
    # The length of anything else is known at its end alone; files of /proc claim to be empty.
    is_device = stat.S_ISCHR(status.st_mode) or stat.S_ISBLK(status.st_mode)
    most = min(most, _MOST_OF_DEVICE) if is_device else most
    chunks: list[bytes] = []
    size = 0
    while chunk := file.read(_CHUNK):
        chunks.append(chunk)
        size += len(chunk)
        if size > most:
            what = "is a device that" if is_device else "is a stream that"
            raise ProtoError(f"{name}: {what} does not end within {most} bytes; expected a file")
    return b"".join(chunks)


def _working_folder() -> str:
    try:
        return printable(Path.cwd())
    except OSError:  # it was removed
        return "a folder that is gone"
