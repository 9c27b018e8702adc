"""Datum, the message that Caffe's stores hold: an image, raw or encoded, or floats; and a label."""

from __future__ import annotations

import re
from functools import lru_cache
from math import prod
from typing import Any

import numpy as np
from google.protobuf.message import DecodeError

import bicerin_proto
from bicerin.errors import DataError
from bicerin_data.image import decode_image
from bicerin_proto import wire

_LARGEST = 2**31 - 1


def parse_datum(value: bytes) -> Any:
    """The `Datum` in the bytes of a record.

    Raises:
        DataError: the bytes are not a Datum.
    """
    try:
        return bicerin_proto.Datum.FromString(value)
    except DecodeError:
        raise DataError(f"its {len(value)} bytes are not a Datum.") from None


#: A Datum as every library writes it, field after field by number: channels, height, width and the length of `data`, in
#: as many bytes as an int32 that is not negative has; then, after the data, label and encoded.
_SHORT = rb"([\x80-\xff]{0,4}[\x00-\x7f])"
_BEFORE_DATA = re.compile(rb"(?:\x08%b)?(?:\x10%b)?(?:\x18%b)?\x22%b" % ((_SHORT,) * 4))
_AFTER_DATA = re.compile(rb"(?:\x28%b)?(?:\x38([\x00\x01]))?" % _SHORT)


def read_datum(value: bytes, color: bool | None = None) -> tuple[np.ndarray, int]:
    """The values of the `Datum` in the bytes of a record, as `datum_array` gives them, and its label.

    An image's bytes are not copied: they stay where they are in `value`.

    Raises:
        DataError: as `parse_datum` and `datum_array`.
    """
    found = _data_within(value)
    if found is None:
        datum = parse_datum(value)
        return datum_array(datum, color), datum.label
    shape, begin, end, label, encoded = found
    if encoded:
        return decode_image(memoryview(value)[begin:end], color), label
    return np.frombuffer(value, np.uint8, end - begin, begin).reshape(shape), label


def _data_within(value: bytes) -> tuple[tuple[int, int, int], int, int, int, bool] | None:
    """Of a Datum with data and no floats: shape, begin and end of the data, label, encoded. None if it is another, or
    not written in the usual way, or if something is wrong with it.
    """
    before = _BEFORE_DATA.match(value)
    if before is None:
        return None
    *shape, length = _numbers(before.groups())
    begin = before.end()
    end = begin + length
    after = _AFTER_DATA.fullmatch(value, end) if end <= len(value) else None
    if after is None:
        return None
    label, encoded = _numbers(after.groups())
    count = prod(shape)
    if max(*shape, count, label) > _LARGEST or not length or not (encoded or length == count):
        return None
    return (shape[0], shape[1], shape[2]), begin, end, label, encoded == 1


@lru_cache(1 << 12)
def _numbers(varints: tuple[bytes | None, ...]) -> tuple[int, ...]:
    """The numbers that were written in up to five bytes each; 0 for none. Most of a store's records have the same."""
    values = []
    for varint in varints:
        value = 0
        for byte in reversed(varint or b""):
            value = value << 7 | byte & 0x7F
        values.append(value)
    return tuple(values)


def datum_array(datum: Any, color: bool | None = None) -> np.ndarray:
    """The values of a Datum: uint8 or float32, shape (C, H, W).

    Args:
        color: whether an encoded image is converted to color (True), to gray (False) or to neither (None).

    Raises:
        DataError: neither its bytes nor its floats are as many as its shape needs; or it is not an image.
    """
    if datum.encoded:
        return decode_image(datum.data, color)
    shape = (datum.channels, datum.height, datum.width)
    count = shape[0] * shape[1] * shape[2]
    data = datum.data
    if min(shape) > 0:
        if len(data) == count:
            return np.frombuffer(data, np.uint8).reshape(shape)
        floats = datum.float_data
        if not data and len(floats) == count:
            return np.fromiter(floats, np.float32, count).reshape(shape)
    raise DataError(
        f"a Datum of channels={shape[0]}, height={shape[1]}, width={shape[2]} that holds "
        f"{len(data)} bytes and {len(datum.float_data)} floats, where {max(count, 0)} are expected."
    )


def array_datum(array: np.ndarray, label: int | None = None) -> Any:
    """A Datum that holds uint8 values raw and all others as floats; shape (C, H, W)."""
    channels, height, width = array.shape
    datum = bicerin_proto.Datum(channels=channels, height=height, width=width)
    if array.dtype == np.uint8:
        datum.data = array.tobytes()
    else:
        # Packed, the floats are one piece of memory instead of a Python object each; parsing takes both forms.
        floats = np.ascontiguousarray(array, "<f4")
        datum.MergeFromString(wire.delimited(bicerin_proto.Datum.FLOAT_DATA_FIELD_NUMBER, floats.tobytes()))
    if label is not None:
        datum.label = label
    return datum
