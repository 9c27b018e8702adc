"""Stores, images and layers for the tests of the data layers."""

from __future__ import annotations

import sys
from importlib.util import find_spec

import numpy as np
import pytest

from bicerin.device import get_device
from bicerin.layer import Blob, Context, Layer, Phase
from bicerin.layer.layer import layers
from bicerin.net.node import Node
from bicerin.schema.installed_schema import read_layer
from bicerin.testing import LayerRun
from bicerin_data.datum import array_datum
from bicerin_data.stores import create_store


def pytest_runtest_setup(item):
    """Where plyvel has wheels it is required, and a test that finds none fails."""
    asked = f"{item.name} {item.callspec.params if hasattr(item, 'callspec') else ''}"
    if "leveldb" in asked.lower() and sys.version_info >= (3, 13) and find_spec("plyvel") is None:
        pytest.skip("plyvel, which reads LevelDB, has no wheel for this Python: pip install bicerin-data[leveldb]")


class Records:
    """Writes stores into a folder."""

    def __init__(self, folder):
        self.folder = folder

    def store(self, images, backend="lmdb", name="store", bad=()):
        """A store of arrays (C, H, W), keys 00000000.., labels 0..; those in `bad` are garbage."""
        with create_store(self.folder / name, backend) as writer:
            for index, image in enumerate(images):
                value = b"\xff\xff not a datum" if index in bad else array_datum(image, index).SerializeToString()
                writer.put(b"%08d" % index, value)
        return self.folder / name


@pytest.fixture
def records(tmp_path):
    return Records(tmp_path)


@pytest.fixture
def make_layer(tmp_path, device):
    """A layer, set up, whose files are in `tmp_path`."""
    made = []

    def make(text, *, phase="TEST", seed=1, dtype=np.float32, tops=None, bottoms=(), **context) -> LayerRun:
        param = read_layer(text)
        random = np.random.default_rng(seed)
        context.setdefault("directory", tmp_path)
        context.setdefault("device", get_device(device))
        layer: Layer = layers.load(param.type)(
            param, Context(phase=Phase.of(phase), dtype=np.dtype(dtype), random=random, **context)
        )
        top = [Blob((), layer.dtype, layer.context.device, name) for name in param.top]
        node = Node(layer, list(bottoms), top)
        node.set_up()
        made.append(layer)
        return LayerRun(node)

    yield make
    for layer in made:
        if hasattr(layer, "close"):
            layer.close()


@pytest.fixture
def batches():
    """The data and labels of the next batches of a layer, each a list of copies."""

    def read(run, number=1):
        found = []
        for _ in range(number):
            run.forward()
            found.append([blob.data.copy() for blob in run.top])
        return found

    return read


@pytest.fixture
def random():
    return np.random.default_rng(7)
