"""`caffe.Blob`: arrays that are the blob's memory."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import caffe

pytestmark = pytest.mark.usefixtures("on_the_device")


def test_what_a_blob_has(net: Any) -> None:
    blob = net.blobs["data"]
    assert isinstance(blob, caffe.Blob)
    assert tuple(blob.shape) == (5, 2, 3, 4) and list(blob.shape) == [5, 2, 3, 4] and blob.shape[1] == 2
    assert (blob.num, blob.channels, blob.height, blob.width, blob.count) == (5, 2, 3, 4, 120)
    assert blob.data.dtype == blob.diff.dtype == np.float32


def test_missing_axes_of_old_names_are_one(affine: Any) -> None:
    blob = affine.blobs["data"]
    assert (blob.num, blob.channels, blob.height, blob.width) == (4, 3, 1, 1)


def test_writes_reach_the_blob(affine: Any) -> None:
    blob = affine.blobs["data"]
    kept = blob.data
    blob.data[...] = 3
    blob.data.flat = np.arange(12)
    blob.data[0] += 1
    assert (kept == blob.data).all() and kept[0, 0] == 1 and kept[3, 2] == 11
    blob.diff[1] = 2
    assert blob.diff[1, 0] == 2


def test_data_cannot_be_replaced(affine: Any) -> None:
    with pytest.raises(AttributeError):
        affine.blobs["data"].data = np.zeros((4, 3))


@pytest.mark.parametrize("shape", [(), (1,), (2, 3), (1, 2, 3, 4, 5), (0, 3)])
def test_reshape(shape: tuple[int, ...], affine: Any) -> None:
    blob = affine.blobs["data"]
    blob.reshape(*shape)
    assert blob.data.shape == tuple(blob.shape) == shape


def test_a_smaller_shape_keeps_the_memory(affine: Any) -> None:
    blob = affine.blobs["data"]
    blob.data[...] = np.arange(12).reshape(4, 3)
    kept = blob.data
    blob.reshape(2, 3)
    assert (blob.data == kept[:2]).all() and np.shares_memory(kept, blob.data)


def test_an_array_outlives_a_larger_shape(affine: Any) -> None:
    blob = affine.blobs["data"]
    blob.data[...] = 7
    kept = blob.data
    blob.reshape(100, 3)
    blob.data[...] = 1
    assert (kept == 7).all()


def test_only_a_device_has_addresses_on_it(affine: Any, device: str) -> None:
    for name in ("_gpu_data_ptr", "_gpu_diff_ptr"):
        if device != "cpu":
            assert getattr(affine.blobs["data"], name) > 0
            continue
        with pytest.raises(RuntimeError, match="no arrays of its own"):
            getattr(affine.blobs["data"], name)
