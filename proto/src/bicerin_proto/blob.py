"""Between BlobProto and NumPy arrays, without a Python object for each number."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from google.protobuf.message import Message

from bicerin_proto import wire
from bicerin_proto.errors import DecodeError
from bicerin_proto.quotation import printable
from bicerin_proto.schema import default_schema

Array = np.ndarray[Any, Any]

_LEGACY_AXES = ("num", "channels", "height", "width")
_FLOAT: np.dtype[Any] = np.dtype("<f4")
_DOUBLE: np.dtype[Any] = np.dtype("<f8")
_DATA: dict[int, np.dtype[Any]] = {5: _FLOAT, 8: _DOUBLE}
_DIFF: dict[int, np.dtype[Any]] = {6: _FLOAT, 9: _DOUBLE}

_RAW_TYPES: dict[int, np.dtype[Any]] = {0: _DOUBLE, 1: _FLOAT, 2: np.dtype("<f2")}
_RAW_DATA, _RAW_DIFF = (10, 12), (11, 13)
"""NVIDIA's fork stores a blob as raw bytes, with their type in a field before them; Caffe has neither field."""


def blob_shape(blob: Message) -> tuple[int, ...]:
    """Return the shape of a BlobProto: that of `shape`, or `(num, channels, height, width)` of older files.

    Of a blob of C3D 1.0 it is `(num, channels, length, height, width)`. A blob that has neither has one axis, of the
    length of its data.
    """
    if blob.HasField("shape"):
        return tuple(blob.shape.dim)
    if any(blob.HasField(axis) for axis in _LEGACY_AXES):
        width = _width_of_volume(blob)
        return (*(getattr(blob, axis) for axis in _LEGACY_AXES), *(() if width is None else (width,)))
    return (len(blob.data) or len(blob.double_data),)


def blob_array(blob: Message, diff: bool = False) -> Array:
    """Return a BlobProto's data as a read-only array of its shape: float64 if it holds doubles, else float32.

    Args:
        blob: a BlobProto of any schema.
        diff: return the gradient instead.

    Raises:
        DecodeError: the blob does not hold as many numbers as its shape says, the shape is not one that an array can
            have, or the numbers do not fit into memory.
    """
    shape, what = blob_shape(blob), "gradients" if diff else "numbers"
    try:
        in_diff = diff or _width_of_volume(blob) is not None
        numbers = _numbers(blob, *((_DIFF, _RAW_DIFF) if in_diff else (_DATA, _RAW_DATA)))
        if min(shape, default=0) < 0 or numbers.size != math.prod(shape):
            raise DecodeError(
                f"a blob of shape {printable(shape)} holds {numbers.size} {what}, expected {_count(shape)}"
            )
        return numbers.reshape(shape)
    except ValueError as error:  # too many axes, or beside an empty one others that are too long
        raise DecodeError(f"a blob's shape {printable(shape)} is not one of an array: {printable(error)}") from error
    except MemoryError:
        raise DecodeError(f"the {what} of a blob of shape {printable(shape)} do not fit into memory") from None


def _width_of_volume(blob: Message) -> int | None:
    """Return the width in a BlobProto of C3D 1.0; None: it is another's.

    That fork put a length before height and width, and gave all that follows the next number: the width is where Caffe
    has data, and the data where Caffe has gradients.
    """
    if len(blob.data) or len(blob.double_data) or not len(blob.diff):
        return None
    packed = blob.SerializePartialToString()
    for field in wire.fields(packed):
        if field.number == 5 and field.wire_type == wire.VARINT:
            return wire.varint(packed, field.begin)[0]
    return None


def _count(shape: tuple[int, ...]) -> str:
    """Return how many numbers a shape holds. (Python refuses to write out thousands of digits.)"""
    count = math.prod(shape)
    return str(count) if abs(count) < 10**30 else f"about 10^{round(math.log10(abs(count)))}"


def _numbers(blob: Message, dtypes: dict[int, np.dtype[Any]], raw: tuple[int, int]) -> Array:
    # Python's protobuf gives no buffer of a repeated field, but the bytes of the whole message have one inside.
    packed = blob.SerializePartialToString()
    parts: list[Array] = []
    raw_type = _FLOAT
    raw_data: wire.WireField | None = None
    for field in wire.fields(packed):
        if field.number in dtypes:
            parts.append(_view(packed, field, dtypes[field.number]))
        elif field.number == raw[0] and field.wire_type == wire.VARINT:
            raw_type = _RAW_TYPES.get(wire.varint(packed, field.begin)[0], _FLOAT)
        elif field.number == raw[1] and field.wire_type == wire.LENGTH:
            raw_data = field
    if raw_data is not None and not parts:
        parts = [_view(packed, raw_data, raw_type)]
        if raw_type.itemsize < _FLOAT.itemsize:
            parts = [parts[0].astype(_FLOAT)]
    if len(parts) == 1:
        return parts[0]
    return np.concatenate(parts) if parts else np.empty(0, np.float32)


def _view(packed: bytes, field: wire.WireField, dtype: np.dtype[Any]) -> Array:
    if (field.end - field.begin) % dtype.itemsize:
        raise DecodeError(f"{field.end - field.begin} bytes of a blob are not a whole number of {dtype.name}")
    return np.frombuffer(packed, dtype, (field.end - field.begin) // dtype.itemsize, field.begin)


def array_blob(
    array: Array, diff: Array | None = None, *, into: Message | None = None, dtype: np.dtype[Any] | type | None = None
) -> Any:
    """Return a BlobProto that holds an array: float64 in `double_data`, everything else as float32 in `data`.

    Args:
        array: the data; its shape becomes the blob's.
        diff: the gradient, of the same shape.
        into: the BlobProto to fill and return, such as `layer.blobs.add()`; by default a new one of Caffe's schema.
        dtype: float32 or float64, to store another type than the array's.

    Raises:
        ValueError: `diff` has another shape than `array`, or `dtype` is neither float32 nor float64.
    """
    kind = np.dtype(dtype) if dtype is not None else np.asarray(array).dtype
    if dtype is not None and kind not in (_FLOAT, _DOUBLE):
        raise ValueError(f"a blob holds float32 or float64, not {kind}")
    double = kind == _DOUBLE
    blob = default_schema().BlobProto() if into is None else into
    blob.Clear()
    blob.shape.SetInParent()
    blob.shape.dim.extend(np.shape(array))
    packed = _packed(array, 8 if double else 5)
    if diff is not None:
        if np.shape(diff) != np.shape(array):
            raise ValueError(f"the gradient has the shape {np.shape(diff)}, the data {np.shape(array)}")
        packed += _packed(diff, 9 if double else 6)
    blob.MergeFromString(packed)
    return blob


def _packed(array: Array, number: int) -> bytes:
    data = np.ascontiguousarray(array, (_DATA | _DIFF)[number])
    return wire.delimited(number, data.tobytes())
