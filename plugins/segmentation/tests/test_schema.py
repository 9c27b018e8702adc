"""The schema: every number under which a fork holds a field is read."""

from __future__ import annotations

from importlib.resources import files

import pytest

import bicerin_proto
from bicerin.testing.binary_layer import read_binary_layer


@pytest.mark.parametrize(("layer_type", "name", "inner", "number_inside", "numbers"), [
    ("DenseImageData", "dense_image_data_param", "batch_size", 2, [138, 46]),
    ("SegData", "seg_data_param", "balance", 4, [141]),
    ("UnPooling", "unpooling_param", "out_kernel_size", 2, [133]),
    ("MultiStageMeanfield", "multi_stage_meanfield_param", "num_iterations", 6, [146]),
])  # fmt: skip
def test_every_number_is_read(layer_type: str, name: str, inner: str, number_inside: int, numbers: list[int]) -> None:
    for number in numbers:
        layer = read_binary_layer(layer_type, number, bytes([number_inside << 3, 1]))
        assert getattr(getattr(layer, name), inner) == 1


def test_the_compiled_schema_is_current() -> None:
    assert bicerin_proto.check_current(files("bicerin_segmentation") / "segmentation.proto")
