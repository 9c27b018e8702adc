"""Protobuf's wire format, as far as it is needed without a schema: the fields of a message and their bytes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

VARINT, FIXED64, LENGTH, START_GROUP, END_GROUP, FIXED32 = range(6)
_MOST_VARINT_BYTES = 10


class WireError(ValueError):
    """The bytes are not a message. The text says at which byte and why."""


class WireField(NamedTuple):
    """A field as it stands in the bytes: `start:end` with its tag, `begin:end` its value alone (without a length)."""

    number: int
    wire_type: int
    start: int
    begin: int
    end: int


def varint(data: memoryview | bytes, at: int) -> tuple[int, int]:
    """Read a variable-length integer at a byte. Return it and where the next byte is.

    Raises:
        WireError: the data ends within it, or it is longer than an integer can be.
    """
    value = shift = 0
    for position in range(at, min(at + _MOST_VARINT_BYTES, len(data))):
        byte = data[position]
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position + 1
        shift += 7
    if at + _MOST_VARINT_BYTES > len(data):
        raise WireError(f"truncated within a number at byte {at}")
    raise WireError(f"not a number at byte {at}")


def encoded_varint(value: int) -> bytes:
    """Return a non-negative integer in variable length."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def tag(number: int, wire_type: int) -> bytes:
    """Return the bytes that begin a field."""
    return encoded_varint(number << 3 | wire_type)


def delimited(number: int, data: bytes) -> bytes:
    """Return a field whose value is bytes: a string, bytes, a message, or packed numbers."""
    return tag(number, LENGTH) + encoded_varint(len(data)) + data


def fields(data: memoryview | bytes, begin: int = 0, end: int | None = None) -> Iterator[WireField]:
    """Yield the fields of the message at `data[begin:end]`, in the order in which they stand.

    Raises:
        WireError: the bytes are not a message; fields before the bad one have been yielded.
    """
    end = len(data) if end is None else end
    position = begin
    while position < end:
        key, value_at = varint(data, position)
        number, wire_type = key >> 3, key & 7
        if not 0 < number < 1 << 29:
            raise WireError(f"invalid field number {number} at byte {position}")
        begins, stop = _extent(data, wire_type, value_at, end, number, position)
        yield WireField(number, wire_type, position, begins, stop)
        position = stop


def _extent(data: memoryview | bytes, wire_type: int, at: int, end: int, number: int, position: int) -> tuple[int, int]:
    begins = at
    if wire_type == VARINT:
        stop = varint(data, at)[1]
    elif wire_type == FIXED64:
        stop = at + 8
    elif wire_type == FIXED32:
        stop = at + 4
    elif wire_type == LENGTH:
        length, begins = varint(data, at)
        stop = begins + length
    else:
        raise WireError(
            f"field {number} at byte {position} has the wire type {wire_type}, which Caffe's files never use"
        )
    if stop > end:
        raise WireError(f"truncated: field {number} at byte {position} needs {stop - end} more bytes")
    return begins, stop
