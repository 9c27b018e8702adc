"""Where a message comes from: text, bytes, or a file that turns out to hold one or the other."""

from __future__ import annotations

import re
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

from bicerin_proto.errors import DecodeError, ProtoError
from bicerin_proto.file import read_file
from bicerin_proto.quotation import printable

_CONTROL = re.compile(rb"[\x00-\x08\x0e-\x1f]")
_TEXT_START = re.compile(rb"(?:\s|#[^\n]*\n)*[A-Za-z_]\w*\s*[:{<]")
_FIELD = re.compile(r"\s*[A-Za-z_]\w*\s*:\s*\S")
_DRIVE = re.compile(r"[A-Za-z]:[\\/]")
_SNIFFED = 1 << 16
_MARKERS = {
    b"version https://git-lfs": "It is a Git LFS pointer: the file itself was not fetched (git lfs pull).",
    b"<!DOCTYPE": "It is a web page: the download went wrong.",
    b"<html": "It is a web page: the download went wrong.",
    b"\x89HDF\r\n": "It is HDF5, not a binary message.",
    b"PK\x03\x04": "It is a zip archive: unpack it first.",
    b"\x1f\x8b": "It is compressed with gzip: unpack it first.",
}


@dataclass(frozen=True)
class Content:
    """A message's source: exactly one of `text` and `binary` is given.

    Attributes:
        path: the file, or None where text or bytes were given as such.
        text: the text, if it is text.
        binary: the bytes, if it is not.
    """

    path: Path | None = None
    text: str | None = None
    binary: bytes | None = None

    @property
    def name(self) -> str:
        """What error messages call it."""
        if self.path is not None:
            return printable(self.path)
        return "<text>" if self.text is not None else "<bytes>"

    @property
    def size(self) -> int:
        """How many bytes it has."""
        if self.text is not None:
            return len(self.text.encode(errors="replace"))  # a byte that was not UTF-8 is one character
        return len(self.binary or b"")


def read_content(source: str | bytes | PathLike[str]) -> Content:
    """Find out what `source` is, and read it if it is a file.

    Bytes are a binary message. A str that has a newline, a brace or `name: value` in it is text; any other str is
    the path of a file, as a Path always is. A file is text or binary by what is in it, whatever it is called.

    Raises:
        ProtoError: there is no such file, it cannot be read (see `read_file`), or `source` is empty.
        TypeError: `source` is something else.
    """
    if isinstance(source, (bytes, bytearray, memoryview)):
        return Content(binary=bytes(source))
    if isinstance(source, str):
        if not source.strip():
            raise ProtoError("expected a path or the text of a message, got an empty string")
        if _is_text(source):
            return Content(text=source)
    elif not isinstance(source, PathLike):
        raise TypeError(f"expected a path, text, bytes or a message, got {type(source).__name__}")
    return _read_file(Path(source))


def _is_text(source: str) -> bool:
    if "\n" in source or "{" in source:
        return True
    return bool(_FIELD.match(source)) and not _DRIVE.match(source)


def _read_file(path: Path) -> Content:
    data, name = read_file(path), printable(path)
    for marker, meaning in _MARKERS.items():
        if data.startswith(marker):
            raise DecodeError(f"{name}: not a message of Caffe. {meaning}")
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise ProtoError(f"{name}: is UTF-16; save it as UTF-8")
    data = data.removeprefix(b"\xef\xbb\xbf")
    try:
        if _looks_binary(data):
            return Content(path=path, binary=data)
        # Comments in other encodings are common; their bytes survive as surrogates, and only matter within strings.
        return Content(path=path, text=data.decode(errors="surrogateescape"))
    except MemoryError:
        raise ProtoError(f"{name}: does not fit into memory as text ({len(data)} bytes)") from None


def _looks_binary(data: bytes) -> bool:
    # A message's first byte is often 0x0a, the field `name`, which as text is a harmless newline.
    if _CONTROL.search(data, 0, _SNIFFED):
        return True
    try:
        data.decode()
    except UnicodeDecodeError:
        return not _TEXT_START.match(data)
    return False
