"""Blobs: shapes, memory, sharing, and BlobProto."""

import numpy as np
import pytest

import bicerin_proto
from bicerin.device.device import CpuDevice
from bicerin.errors import DeviceError, ShapeError
from bicerin.layer.blob import Blob, same_shape
from bicerin.layer.handed_out import handed_out


def test_a_new_blob_is_zero() -> None:
    blob = Blob((2, 3))
    assert blob.shape == (2, 3)
    assert blob.count == 6
    assert blob.data.dtype == np.float32
    assert not blob.data.any()
    assert not blob.diff.any()


@pytest.mark.parametrize("shape", [(), (0, 3), (5,), (1, 2, 3, 4, 5)])
def test_any_number_of_axes(shape: tuple[int, ...]) -> None:
    blob = Blob(shape, np.float64)
    assert blob.data.shape == shape
    assert blob.count == int(np.prod(shape))


@pytest.mark.parametrize("shape", [(-1,), (2,) * 33, (2**16, 2**15), (0, 2**31, 2**32)])
def test_impossible_shapes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ShapeError, match="cannot have the shape"):
        Blob(shape)


def test_what_needs_more_memory_than_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bicerin_proto, "machine_memory", lambda: 1000, raising=False)
    assert Blob((250,)).data.size == 250
    blob = Blob((2,))
    blob.data[...] = 7
    with pytest.raises(ShapeError, match=r"shape \(1, 251\) needs 1004 bytes .* this machine has 1000"):
        blob.reshape(1, 251)
    assert blob.shape == (2,) and blob.data.tolist() == [7, 7]
    with pytest.raises(ShapeError, match="needs 1008 bytes"):
        Blob((126,), np.float64)


def test_reshape_keeps_memory_where_it_suffices() -> None:
    blob = Blob((4, 3))
    blob.data[...] = np.arange(12).reshape(4, 3)
    view = blob.data
    blob.reshape(2, 3)
    assert np.array_equal(blob.data, [[0, 1, 2], [3, 4, 5]])
    blob.reshape((4, 3))
    assert np.shares_memory(blob.data, view)
    blob.reshape(5, 3)
    assert not blob.data.any()
    assert view[3, 2] == 11


def test_data_is_one_view_until_the_shape_changes() -> None:
    blob = Blob((2, 2))
    assert blob.data is blob.data
    blob.data[0, 1] = 5
    assert blob.read_only.data[0, 1] == 5


def test_sharing() -> None:
    one, other = Blob((2, 3)), Blob((6,))
    other.data[...] = range(6)
    one.share_data(other)
    assert one.data[1, 0] == 3
    one.data[1, 0] = 9
    assert other.data[3] == 9
    assert one.shares_data_with(other)
    one.diff[0, 0] = 4
    assert other.diff[0] == 0
    one.share_diff(other)
    other.diff[0] = 7
    assert one.diff[0, 0] == 7
    with pytest.raises(ShapeError, match="cannot share"):
        one.share_data(Blob((5,)))


def test_legacy_axes() -> None:
    blob = Blob((2, 3))
    assert (blob.num, blob.channels, blob.height, blob.width) == (2, 3, 1, 1)
    with pytest.raises(ShapeError, match="up to 4 axes"):
        _ = Blob((1,) * 5).num


@pytest.mark.parametrize(("axis", "expected"), [(0, 0), (1, 1), (-1, 1), (-2, 0)])
def test_canonical_axis(axis: int, expected: int) -> None:
    assert Blob((2, 3)).canonical_axis(axis) == expected


@pytest.mark.parametrize("axis", [2, -3])
def test_an_axis_that_is_not_there(axis: int) -> None:
    with pytest.raises(ShapeError, match=rf"axis {axis} is out of range .* \(2, 3\)"):
        Blob((2, 3)).canonical_axis(axis)


def test_a_number_has_no_axes() -> None:
    with pytest.raises(ShapeError, match="It is one number, without axes"):
        Blob(()).canonical_axis(1)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("diff", [False, True])
def test_to_proto_and_back(dtype: type, diff: bool) -> None:
    blob = Blob((2, 3), dtype)
    blob.data[...] = np.random.default_rng(0).normal(size=(2, 3))
    blob.diff[...] = 3
    proto = blob.to_proto(write_diff=diff)
    assert list(proto.shape.dim) == [2, 3]
    assert len(proto.double_data if dtype is np.float64 else proto.data) == 6
    twin = Blob((), dtype)
    twin.from_proto(proto)
    assert twin.shape == (2, 3)
    assert np.array_equal(twin.data, blob.data)
    assert twin.diff.all() == diff


def test_legacy_protos_match_shapes_without_leading_ones() -> None:
    proto = bicerin_proto.BlobProto(num=1, channels=1, height=2, width=3, data=range(6))
    assert same_shape(proto, (2, 3))
    assert same_shape(proto, (1, 1, 2, 3))
    assert not same_shape(proto, (3, 2))
    blob = Blob((2, 3))
    blob.from_proto(proto, reshape=False)
    assert blob.data[1, 2] == 5
    with pytest.raises(ShapeError, match=r"\(1, 1, 2, 3\) into one of shape \(7,\)"):
        Blob((7,)).from_proto(proto, reshape=False)


class Elsewhere(CpuDevice):
    name = "gpu"
    is_host = False


def test_a_host_blob_has_no_device_arrays() -> None:
    with pytest.raises(DeviceError, match=r'build the net with device="gpu"'):
        Blob((1,), name="x").on(Elsewhere())


def test_what_is_handed_out_has_arrays_of_its_own() -> None:
    blob = Blob((2, 3), name="b")
    given = handed_out(blob)
    assert given is handed_out(blob) and given.blob is blob and isinstance(given, Blob)
    array = given.data
    array[...] = 4
    array.shape = (6,)
    given.diff.setflags(write=False)
    assert given.data.shape == blob.data.shape == (2, 3) and (blob.data == 4).all()
    assert given.diff.flags.writeable and blob.diff.flags.writeable
    given.reshape(4, 5)
    assert (blob.shape, blob.count, given.count, given.num_axes) == ((4, 5), 20, 20, 2)
    assert given.data.base is not None and np.shares_memory(given.data, blob.data)
    other = Blob((4, 5))
    given.share_data(other)
    assert blob.shares_data_with(other) and given.memory == blob.memory


def test_what_is_to_be_read_cannot_be_written() -> None:
    blob = Blob((2, 3))
    for array in (np.asarray(blob), np.asarray(handed_out(blob)), handed_out(blob).read_only.data):
        assert np.shares_memory(array, blob.data)
        with pytest.raises(ValueError, match="read-only"):
            array[...] = 1
    np.array(blob)[...] = 1
    assert not blob.data.any()


def test_a_version_is_known_only_where_every_array_is_lent() -> None:
    blob = Blob((2, 3))
    assert blob.data_version is None
    blob.keep_versions()
    version = blob.data_version
    assert version is not None
    assert blob.data_version == version
    array = blob.data[1:]
    assert blob.data_version is None
    del array
    assert blob.data_version not in (None, version)
    blob.reshape(4, 5)
    assert blob.data_version is not None
    held = blob.data
    assert blob.data_version is None
    assert held.base is not None
