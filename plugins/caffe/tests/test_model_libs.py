"""`caffe.model_libs`: the nets of SSD's scripts have the layers, names and shapes of the fork."""

from __future__ import annotations

from math import prod
from typing import Any

import pytest

import caffe
from bicerin.net.outline import outline
from bicerin.schema import read_net
from caffe import layers as L
from caffe.model_libs import (
    ConvBNLayer,
    CreateAnnotatedDataLayer,
    CreateMultiBoxHead,
    InceptionV3Body,
    ResNet101Body,
    ResNet152Body,
    UnpackVariable,
    VGGNetBody,
    ZFNetBody,
    make_if_not_exist,
)


def started(size: int) -> caffe.NetSpec:
    net = caffe.NetSpec()
    net.data = L.Input(shape=dict(dim=[1, 3, size, size]))
    return net


def shapes(net: caffe.NetSpec) -> dict[str, tuple[int, ...] | None]:
    found = outline(read_net(net.to_proto()), "TEST")
    assert not found.errors
    return {name: shape for layer in found.layers for name, shape in zip(layer.top, layer.top_shapes, strict=True)}


def parameters(net: caffe.NetSpec) -> int:
    return outline(read_net(net.to_proto()), "TEST").total("parameter_count")


def test_vgg_as_in_ssd300() -> None:
    net = VGGNetBody(started(300), from_layer="data", fully_conv=True, reduced=True, dilated=True, dropout=False)
    found = shapes(net)
    assert (found["conv4_3"], found["pool5"], found["fc7"]) == ((1, 512, 38, 38), (1, 512, 19, 19), (1, 1024, 19, 19))
    fc6 = net.to_proto().layer[list(net.keys()).index("fc6")].convolution_param
    assert (list(fc6.pad), list(fc6.dilation), list(fc6.kernel_size)) == ([6], [6], [3])
    assert net.keys()[-1] == "relu7" and "drop6" not in net


def test_vgg_16_has_its_138_million_weights() -> None:
    net = VGGNetBody(started(224), from_layer="data")
    net.fc8 = L.InnerProduct(net.fc7, num_output=1000)
    assert parameters(net) == 138357544


@pytest.mark.parametrize(
    ("options", "shape"),
    [
        (dict(nopool=True), (1, 512, 7, 7)),
        (dict(dilate_pool4=True, dilated=True), (1, 512, 28, 28)),
        (dict(dilated=True), (1, 512, 14, 14)),
    ],
)
def test_vggs_maps(options: dict[str, Any], shape: tuple[int, ...]) -> None:
    found = shapes(VGGNetBody(started(224), "data", fully_conv=True, reduced=True, **options))
    assert found["conv5_4" if "nopool" in options else "pool5"] == shape and found["fc7"] == (1, 1024, *shape[2:])


@pytest.mark.parametrize(
    ("reduced", "dilated", "side"), [(False, False, 7), (True, False, 8), (False, True, 15), (True, True, 15)]
)
def test_zf_net(reduced: bool, dilated: bool, side: int) -> None:
    net = ZFNetBody(started(224), "data", fully_conv=True, reduced=reduced, dilated=dilated, need_fc8=True)
    found = shapes(net)
    assert found["conv5"] == (1, 256, 15, 15) and found["fc7"] == (1, 1024 if reduced else 4096, side, side)
    assert found["prob"][1] == 1000


def test_frozen_layers_do_not_learn() -> None:
    layers = {
        layer.name: layer for layer in VGGNetBody(started(64), "data", freeze_layers=["conv1_1"]).to_proto().layer
    }
    assert [param.lr_mult for param in layers["conv1_1"].param] == [0, 0]
    assert [param.lr_mult for param in layers["conv1_2"].param] == [1, 2]


@pytest.mark.parametrize(("body", "count"), [(ResNet101Body, 42500160), (ResNet152Body, 58143808)])
def test_resnets_have_their_weights(body: Any, count: int) -> None:
    """The convolutions and the scales and shifts of the published nets, without the classifier."""
    net = body(started(224), "data")
    found = shapes(net)
    assert found["res5c"] == (1, 2048, 7, 7) and found["pool5"] == (1, 2048, 1, 1)
    learned = sum(
        sum(prod(shape) for shape in layer.parameters)
        for layer in outline(read_net(net.to_proto()), "TEST").layers
        if layer.type in ("Convolution", "Scale")
    )
    assert learned == count
    assert shapes(body(started(224), "data", use_pool5=False, use_dilation_conv5=True))["res5c"] == (1, 2048, 14, 14)
    assert {"res2a_branch1", "bn2a_branch1", "scale2a_branch1", "res4b22_branch2b_relu", "bn_conv1"} <= {*net.keys()}


def test_inception_v3() -> None:
    net = InceptionV3Body(started(299), "data", output_pred=True)
    found = shapes(net)
    expected = {
        "mixed/join": (256, 35), "mixed_1/join": (288, 35), "mixed_2/join": (288, 35), "mixed_3/join": (768, 17),
        "mixed_7/join": (768, 17), "mixed_8/join": (1280, 8), "mixed_9/join": (2048, 8), "mixed_10/join": (2048, 8),
    }  # fmt: skip
    for name, (channels, side) in expected.items():
        assert found[name] == (1, channels, side, side)
    assert found["softmax_prob"] == (1, 1008)
    assert {"mixed_9/tower/mixed/conv_1", "mixed_10/tower_1/mixed", "mixed_4/tower_1/conv_4_bias"} <= {*net.keys()}


def test_a_convolution_with_what_follows_it() -> None:
    net = started(9)
    ConvBNLayer(net, "data", "a", True, True, 4, [1, 3], [0, 1], 1, use_global_stats=True, lr_mult=2)
    ConvBNLayer(net, "a", "b", False, False, 5, 3, 1, 2, dilation=2)
    _, a, bn, scale, relu, b = net.to_proto().layer
    assert [layer.name for layer in (a, bn, scale, relu, b)] == ["a", "a_bn", "a_scale", "a_relu", "b"]
    assert (a.convolution_param.kernel_h, a.convolution_param.kernel_w, a.convolution_param.pad_w) == (1, 3, 1)
    assert not a.convolution_param.bias_term and [param.lr_mult for param in a.param] == [2]
    assert bn.batch_norm_param.use_global_stats and [param.lr_mult for param in scale.param] == [0, 0]
    assert [param.lr_mult for param in b.param] == [1, 2] and list(b.convolution_param.dilation) == [2]
    assert UnpackVariable([3], 2) == UnpackVariable(3, 2) == [3, 3] and UnpackVariable([1, 2], 2) == [1, 2]


def test_folders_are_made_once(tmp_path: Any) -> None:
    make_if_not_exist(tmp_path / "a" / "b")
    make_if_not_exist(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b").is_dir()


def test_ssd300_has_its_8732_boxes() -> None:
    pytest.importorskip("bicerin_ssd")
    net = VGGNetBody(started(300), "data", fully_conv=True, reduced=True, dilated=True, dropout=False)
    last = "relu7"
    for name, outputs, kernel, pad, stride in (
        ("conv6_1", 256, 1, 0, 1), ("conv6_2", 512, 3, 1, 2), ("conv7_1", 128, 1, 0, 1), ("conv7_2", 256, 3, 1, 2),
        ("conv8_1", 128, 1, 0, 1), ("conv8_2", 256, 3, 0, 1), ("conv9_1", 128, 1, 0, 1), ("conv9_2", 256, 3, 0, 1),
    ):  # fmt: skip
        ConvBNLayer(net, last, name, False, True, outputs, kernel, pad, stride)
        last = name
    sources = ["conv4_3", "fc7", "conv6_2", "conv7_2", "conv8_2", "conv9_2"]
    tops = CreateMultiBoxHead(
        net, num_classes=21, from_layers=sources, use_batchnorm=False, kernel_size=3, pad=1,
        min_sizes=[30.0, 60.0, 111.0, 162.0, 213.0, 264.0], max_sizes=[60.0, 111.0, 162.0, 213.0, 264.0, 315.0],
        aspect_ratios=[[2], [2, 3], [2, 3], [2, 3], [2], [2]], steps=[8, 16, 32, 64, 100, 300],
        normalizations=[20, -1, -1, -1, -1, -1], prior_variance=[0.1, 0.1, 0.2, 0.2], clip=False,
    )  # fmt: skip
    assert tops == [net.mbox_loc, net.mbox_conf, net.mbox_priorbox]
    found = shapes(net)
    boxes = 8732
    assert (found["mbox_loc"], found["mbox_conf"]) == ((1, 4 * boxes), (1, 21 * boxes))
    assert found["mbox_priorbox"] == (1, 2, 4 * boxes)
    assert found["conv4_3_norm_mbox_conf"] == (1, 84, 38, 38) and "fc7_mbox_priorbox" in net


def test_an_annotated_data_layer() -> None:
    pytest.importorskip("bicerin_ssd")
    sampler = [dict(sampler=dict(min_scale=0.3), max_trials=50, max_sample=1)]
    data, label = CreateAnnotatedDataLayer("lmdb", 8, label_map_file="map", batch_sampler=sampler)
    layer = caffe.to_proto(data, label).layer[0]
    assert (layer.type, layer.include[0].phase, layer.data_param.batch_size) == ("AnnotatedData", caffe.TRAIN, 8)
    assert layer.annotated_data_param.batch_sampler[0].max_trials == 50
    assert CreateAnnotatedDataLayer("lmdb", train=False, output_label=False).fn.params["include"] == {"phase": 1}


def test_the_head_says_what_does_not_fit() -> None:
    net = started(9)
    with pytest.raises(AssertionError, match="normalizations"):
        CreateMultiBoxHead(net, num_classes=2, from_layers=["data"], min_sizes=[1], normalizations=[1, 2])
    with pytest.raises(AssertionError, match="num_classes"):
        CreateMultiBoxHead(net, from_layers=["data"], min_sizes=[1])
