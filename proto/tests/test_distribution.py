"""Which distribution brings what."""

from __future__ import annotations

import pytest

from bicerin_proto import ProtoError, read_net
from bicerin_proto.distribution import field_distribution, layer_distribution, layer_types


@pytest.mark.parametrize(
    ("layer", "distribution"),
    [
        ("Input", "bicerin"),
        ("Convolution", "bicerin-convolution"),
        ("LSTMUnit", "bicerin-recurrent"),
        ("PriorBox", "bicerin-ssd"),
        ("Axpy", "bicerin-mobile"),
        ("ConvolutionDepthwise", "bicerin-mobile"),
        ("Proposal", "bicerin-rcnn"),
        ("SoftmaxWithLossOHEM", "bicerin-rcnn"),
        ("Nonsense", None),
    ],
)
def test_layers(layer, distribution):
    assert layer_distribution(layer) == distribution


def test_all_types_of_the_standard_families_are_known():
    ours = [name for name in layer_types() if layer_distribution(name) not in _PACKS]
    assert len(ours) == len(set(ours)) >= 61  # as many has Caffe; forks have more


_PACKS = (
    "bicerin-rcnn", "bicerin-ssd", "bicerin-mobile", "bicerin-ocr", "bicerin-yolo", "bicerin-face",
    "bicerin-segmentation", "bicerin-video",
)  # fmt: skip


@pytest.mark.parametrize(
    ("message", "field", "distribution"),
    [
        ("LayerParameter", "roi_pooling_param", "bicerin-rcnn"),
        ("LayerParameter", "video_data_param", "bicerin-video"),
        ("LossParameter", "pre_fixed_normalizer", "bicerin-rcnn"),
        ("TransformationParameter", "crop_h", "bicerin-ssd"),
        ("SolverParameter", "plateau_winsize", "bicerin-ssd"),
        ("LayerParameter", "noise_param", "bicerin-forks"),
        ("TransformationParameter", "noise_param", "bicerin-ssd"),
        ("BatchNormParameter", "scale_bias", "bicerin-normalization"),
        ("ScaleParameter", "scale_bias", None),
        ("LayerParameter", "pooling_param", None),
    ],
)
def test_fields(message, field, distribution):
    assert field_distribution(message, field) == distribution


@pytest.mark.parametrize(
    ("text", "distribution"),
    [
        ('layer { name: "a" type: "Reorg" reorg_param { stride: 2 } }', "bicerin-yolo"),
        ('layers { name: "a" type: DATA bn_param { } }', "bicerin-mobile"),
        ('layer { name: "a" type: "Data" transform_param { display: true } }', "bicerin-forks"),
        ('layer { name: "a" type: "SoftmaxWithLoss" loss_param { pre_fixed_normalizer: 2 } }', "bicerin-rcnn"),
    ],
)
def test_errors_say_who_brings_a_field(text, distribution):
    with pytest.raises(ProtoError, match=f"It comes with {distribution}: pip install {distribution}$"):
        read_net(text)
