"""Arrays in BlobProtos."""

from __future__ import annotations

import numpy as np
import pytest

from bicerin_proto import DecodeError, array_blob, blob_array, blob_shape, default_schema
from bicerin_proto.wire import LENGTH, VARINT, tag

BlobProto = default_schema().BlobProto


@pytest.mark.parametrize("shape", [(), (0,), (5,), (2, 3), (2, 0, 3), (1, 2, 3, 4, 5)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_there_and_back(shape, dtype):
    array = np.random.default_rng(0).standard_normal(shape).astype(dtype)
    blob = BlobProto.FromString(array_blob(array, diff=-array).SerializeToString())
    for expected, got in [(array, blob_array(blob)), (-array, blob_array(blob, diff=True))]:
        assert got.shape == shape
        assert np.array_equal(expected, got)
        assert got.size == 0 or got.dtype == dtype
    assert len(blob.double_data if dtype == np.float64 else blob.data) == array.size


def test_the_fields_are_protobufs_own():
    blob = array_blob(np.array([[1.5, -2.0]], np.float32), diff=np.array([[3.0, 4.0]]))
    assert blob == BlobProto(data=[1.5, -2.0], diff=[3, 4], shape={"dim": [1, 2]})
    assert array_blob(np.array([1, 2])) == BlobProto(data=[1, 2], shape={"dim": [2]})
    assert array_blob(np.array([1.0, 2.0]), dtype=np.float32) == BlobProto(data=[1, 2], shape={"dim": [2]})


def test_into_replaces_what_was_there():
    layer = default_schema().LayerParameter()
    blob = array_blob(np.zeros(3, np.float32), into=layer.blobs.add())
    assert array_blob(np.ones(2, np.float32), into=blob) is blob
    assert list(layer.blobs[0].data) == [1, 1]


def test_non_contiguous():
    array = np.arange(6, dtype=np.float32).reshape(2, 3).T
    assert np.array_equal(blob_array(array_blob(array)), array)


@pytest.mark.parametrize(
    ("blob", "shape"),
    [
        (BlobProto(shape={"dim": [2, 3]}, num=9), (2, 3)),
        (BlobProto(num=1, channels=2, height=3, width=4), (1, 2, 3, 4)),
        (BlobProto(num=2), (2, 0, 0, 0)),
        (BlobProto(data=[1, 2, 3]), (3,)),
        (BlobProto(), (0,)),
    ],
)
def test_shapes(blob, shape):
    assert blob_shape(blob) == shape


def test_data_in_several_pieces_and_unpacked():
    # Both are allowed on the wire: a list may be cut, and may be written number by number.
    one, two = BlobProto(data=[1, 2]).SerializeToString(), BlobProto(data=[3]).SerializeToString()
    unpacked = b"\x2d" + np.float32(4).tobytes()
    blob = BlobProto.FromString(one + two + unpacked + BlobProto(shape={"dim": [4]}).SerializeToString())
    assert np.array_equal(blob_array(blob), [1, 2, 3, 4])


@pytest.mark.parametrize(("number", "dtype"), [(0, "<f8"), (1, "<f4"), (2, "<f2")])
@pytest.mark.parametrize("diff", [False, True])
def test_raw_bytes_of_nvidias_fork(number, dtype, diff):
    # Its BlobProto: raw_data_type = 10, raw_diff_type = 11, raw_data = 12, raw_diff = 13; types 0, 1, 2.
    array = np.array([[1, 2.5, -3]], dtype)
    raw = tag(10 + diff, VARINT) + bytes([number]) + tag(12 + diff, LENGTH) + bytes([array.nbytes]) + array.tobytes()
    got = blob_array(BlobProto.FromString(BlobProto(shape={"dim": [1, 3]}).SerializeToString() + raw), diff=diff)
    assert np.array_equal(got, array)
    assert got.dtype == (np.float64 if number == 0 else np.float32)


def test_wrong_counts():
    with pytest.raises(DecodeError, match=r"shape \(2, 2\) holds 3 numbers, expected 4"):
        blob_array(BlobProto(shape={"dim": [2, 2]}, data=[1, 2, 3]))
    with pytest.raises(DecodeError, match=r"shape \(-1, -3\)"):
        blob_array(BlobProto(shape={"dim": [-1, -3]}, data=[1, 2, 3]))
    with pytest.raises(DecodeError, match="0 gradients"):
        blob_array(BlobProto(shape={"dim": [1]}, data=[1]), diff=True)
    with pytest.raises(ValueError, match="gradient has the shape"):
        array_blob(np.zeros(2), diff=np.zeros(3))
    with pytest.raises(ValueError, match="float16"):
        array_blob(np.zeros(2), dtype=np.float16)


def test_numbers_are_seen_where_they_are():
    """Not one of them becomes a Python object: the array is a view of the message's bytes."""
    array = blob_array(array_blob(np.arange(1000, dtype=np.float32)))
    assert not array.flags.owndata
    assert not array.flags.writeable


@pytest.mark.parametrize(
    ("dims", "data", "message"),
    [
        ([0, 2**31, 2**32], [], r"blob's shape \(0, 2147483648, 4294967296\) is not one of an array"),
        ([1] * 500, [1], r"a blob's shape \(1, .*characters.* is not one of an array"),
        ([2**31, 2**32], [1, 2], r"holds 2 numbers, expected 9223372036854775808"),
        ([2**60] * 1000, [1, 2], r"holds 2 numbers, expected about 10\^18062"),
    ],
)
def test_shapes_of_no_array(dims, data, message):
    with pytest.raises(DecodeError, match=message) as error:
        blob_array(BlobProto(shape={"dim": dims}, data=data))
    assert len(str(error.value)) < 600


def test_raw_bytes_that_are_cut():
    raw = tag(12, LENGTH) + b"\x05" + b"\0" * 5
    with pytest.raises(DecodeError, match="5 bytes of a blob are not a whole number of float32"):
        blob_array(BlobProto.FromString(BlobProto(shape={"dim": [1]}).SerializeToString() + raw))
