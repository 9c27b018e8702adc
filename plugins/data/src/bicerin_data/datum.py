"""Datum, the message that Caffe's stores hold: an image, raw or encoded, or floats; and a label."""

from __future__ import annotations

from typing import Any

import numpy as np
from google.protobuf.message import DecodeError

import bicerin_proto
from bicerin.errors import DataError
from bicerin_data.image import decode_image
from bicerin_proto import wire


def parse_datum(value: bytes) -> Any:
    """The `Datum` in the bytes of a record.

    Raises:
        DataError: the bytes are not a Datum.
    """
    try:
        return bicerin_proto.Datum.FromString(value)
    except DecodeError:
        raise DataError(f"its {len(value)} bytes are not a Datum.") from None


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
        tag = wire.tag(bicerin_proto.Datum.FLOAT_DATA_FIELD_NUMBER, wire.LENGTH)
        datum.MergeFromString(tag + wire.encoded_varint(floats.nbytes) + floats.tobytes())
    if label is not None:
        datum.label = label
    return datum
