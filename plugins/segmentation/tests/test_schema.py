"""The schema: every number under which a fork holds a field is read."""

from __future__ import annotations

from importlib.resources import files

import pytest

import bicerin_proto
from bicerin.schema.installed_schema import schema
from bicerin.testing.binary_layer import read_binary_layer


@pytest.mark.parametrize(("layer_type", "name", "inner", "number_inside", "numbers"), [
    ("DenseImageData", "dense_image_data_param", "batch_size", 2, [138, 46]),
    ("SegData", "seg_data_param", "balance", 4, [141]),
    ("UnPooling", "unpooling_param", "out_kernel_size", 2, [133]),
    ("Unpooling", "unpooling_param", "kernel_size", 2, [44]),
    ("Unpooling", "unpooling_param", "unpool_size", 12, [44]),
    ("ParseEvaluate", "parse_evaluate_param", "num_labels", 1, [132]),
    ("DiceCoefLoss", "dice_coef_loss_param", "generalization", 3, [208]),
    ("MultiStageMeanfield", "multi_stage_meanfield_param", "num_iterations", 6, [146]),
])  # fmt: skip
def test_every_number_is_read(layer_type: str, name: str, inner: str, number_inside: int, numbers: list[int]) -> None:
    for number in numbers:
        layer = read_binary_layer(layer_type, number, bytes([number_inside << 3, 1]))
        assert getattr(getattr(layer, name), inner) == 1


def test_unpooling_in_the_old_format() -> None:
    """DeconvNet has it there alone, beside its BN."""
    text = (
        "layers { name: 'b' type: BN bn_param { bn_mode: INFERENCE } } "
        "layers { name: 'u' type: UNPOOLING unpooling_param { unpool: AVE kernel_size: 2 unpool_size: 8 } }"
    )
    bn, unpooling = bicerin_proto.read_net(text, schema()).message.layer
    assert (bn.type, unpooling.type) == ("BN", "Unpooling")
    assert unpooling.unpooling_param.unpool_size == 8


def test_the_compiled_schema_is_current() -> None:
    assert bicerin_proto.check_current(files("bicerin_segmentation") / "segmentation.proto")
