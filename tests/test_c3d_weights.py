"""Weights of C3D load: those of version 1.0, whose blobs have an axis more than Caffe's had, and those of 1.1."""

from __future__ import annotations

from pathlib import Path

import numpy as np

import bicerin
import bicerin_proto
from bicerin_proto.wire import VARINT, delimited, encoded_varint, tag

NET = """
    layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 2 dim: 3 dim: 2 dim: 4 dim: 5 } } }
    layer { name: "conv1a" type: "Convolution3D" bottom: "data" top: "conv1a"
      convolution3d_param { num_output: 4 kernel_size: 3 kernel_depth: 2 } }
    layer { name: "fc" type: "InnerProduct" bottom: "conv1a" top: "fc" inner_product_param { num_output: 2 } }
"""
SHAPES = {"conv1a": ((4, 3, 2, 3, 3), (4,)), "fc": ((2, 24), (2,))}


def blobs() -> dict[str, list[np.ndarray]]:
    random = np.random.default_rng(1)
    return {name: [random.random(shape, np.float32) for shape in shapes] for name, shapes in SHAPES.items()}


def volume(array: np.ndarray) -> bytes:
    """A BlobProto of C3D 1.0: num, channels, length, height, width, and the numbers in field 6."""
    shape = (1,) * (5 - array.ndim) + array.shape
    sizes = b"".join(tag(number, VARINT) + encoded_varint(size) for number, size in enumerate(shape, start=1))
    return sizes + delimited(6, array.tobytes())


def check(weights: Path, expected: dict[str, list[np.ndarray]]) -> None:
    net = bicerin.Net(NET, phase="TEST", weights=weights)
    for name, arrays in expected.items():
        for blob, array in zip(net.params[name], arrays, strict=True):
            np.testing.assert_array_equal(blob.data, array)


def test_of_version_1_0(tmp_path: Path) -> None:
    expected = blobs()
    path = tmp_path / "c3d.caffemodel"
    path.write_bytes(delimited(1, b"c3d") + b"".join(
        delimited(2, delimited(4, name.encode()) + tag(5, VARINT) + encoded_varint(30 if name == "conv1a" else 14)
                  + b"".join(delimited(6, volume(array)) for array in arrays))
        for name, arrays in expected.items()
    ))  # fmt: skip
    check(path, expected)


def test_of_version_1_1(tmp_path: Path) -> None:
    """A bias has the shape (1, 1, 1, 1, K) there."""
    expected = blobs()
    net = bicerin_proto.NetParameter()
    for name, arrays in expected.items():
        layer = net.layer.add(name=name)
        for array in arrays:
            five = array.ndim == 1 and name == "conv1a"
            bicerin_proto.array_blob(array.reshape(1, 1, 1, 1, -1) if five else array, into=layer.blobs.add())
    path = tmp_path / "c3d.caffemodel"
    path.write_bytes(net.SerializeToString())
    check(path, expected)
