"""Arrays outlive their net; a net that is gone has left its memory."""

from __future__ import annotations

import gc
import os
import weakref
from pathlib import Path
from typing import Any

import pytest

import caffe

pytestmark = pytest.mark.usefixtures("on_the_device")

# 32 MiB of weights, and as much of data.
LARGE = """
layer { type: "Input" name: "data" top: "data" input_param { shape { dim: 2 dim: 4194304 } } }
layer { type: "InnerProduct" name: "ip" bottom: "data" top: "ip"
  inner_product_param { num_output: 2 weight_filler { type: "constant" value: 1 } } }
"""


def resident() -> int:
    """The bytes of this process that are in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_arrays_outlive_their_net(net: Any) -> None:
    net.forward()
    params = [blob for blobs in net.params.values() for blob in blobs]
    arrays = [blob.data for blob in net.blobs.values()]
    before = [array.sum() for array in arrays]
    del net
    gc.collect()
    assert [array.sum() for array in arrays] == before
    assert all(blob.data.shape for blob in params)


def test_a_net_goes_with_its_last_name(affine: Any, write: Any) -> None:
    net = caffe.Net(write("large.prototxt", LARGE), caffe.TEST)
    net.forward()
    core = weakref.ref(net._core)
    gc.disable()
    try:
        del net
        assert core() is None
    finally:
        gc.enable()


def test_fifty_nets_take_the_memory_of_one(write: Any) -> None:
    path = write("large.prototxt", LARGE)

    def load() -> None:
        net = caffe.Net(path, caffe.TEST)
        net.blobs["data"].data[...] = 1
        net.forward()
        net.backward()

    load()
    before = resident()
    for _ in range(50):
        load()
    assert resident() - before < 64 << 20  # fifty nets together are 3 GiB
