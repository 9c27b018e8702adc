"""Nets that detection scripts build on, with the names and arguments of SSD's fork (weiliu89/caffe, branch ssd).

`from caffe.model_libs import *` brings these functions and `L`, `P` and `caffe_pb2`, as there. Each function adds
layers to a `NetSpec`; layers have the names of the fork, so that its caffemodels fit. The layers themselves come with
bicerin-ssd.

Sources: W. Liu et al., "SSD: Single Shot MultiBox Detector", 2016; K. Simonyan and A. Zisserman, "Very Deep
Convolutional Networks", 2014; K. He et al., "Deep Residual Learning", 2015; C. Szegedy et al., "Rethinking the
Inception Architecture", 2015.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import caffe
from caffe import layers as L
from caffe import params as P
from caffe.net_spec import NetSpec, Top
from caffe.proto import caffe_pb2

__all__ = [
    "ConvBNLayer",
    "CreateAnnotatedDataLayer",
    "CreateMultiBoxHead",
    "InceptionTower",
    "InceptionV3Body",
    "L",
    "P",
    "ResBody",
    "ResNet101Body",
    "ResNet152Body",
    "UnpackVariable",
    "VGGNetBody",
    "ZFNetBody",
    "caffe",
    "caffe_pb2",
    "check_if_exist",
    "make_if_not_exist",
    "os",
]

_FROZEN = {"lr_mult": 0, "decay_mult": 0}


def check_if_exist(path: Any) -> bool:
    """Whether there is a file or a folder of this name."""
    return os.path.exists(path)


def make_if_not_exist(path: Any) -> None:
    """Make a folder, and those that it lies in."""
    os.makedirs(path, exist_ok=True)


def UnpackVariable(var: Any, num: int) -> list[Any]:
    """A list of `num` values: the list itself, or one value, bare or in a list, so many times."""
    if not isinstance(var, list):
        return [var] * num
    if len(var) == num:
        return var
    assert len(var) == 1, f"{len(var)} values are given, not 1 or {num}"
    return var * num


# Blocks


def ConvBNLayer(
    net: NetSpec,
    from_layer: str,
    out_layer: str,
    use_bn: bool,
    use_relu: bool,
    num_output: int,
    kernel_size: Any,
    pad: Any,
    stride: Any,
    dilation: int = 1,
    use_scale: bool = True,
    lr_mult: float = 1,
    conv_prefix: str = "",
    conv_postfix: str = "",
    bn_prefix: str = "",
    bn_postfix: str = "_bn",
    scale_prefix: str = "",
    scale_postfix: str = "_scale",
    bias_prefix: str = "",
    bias_postfix: str = "_bias",
    **bn_params: Any,
) -> None:
    """A convolution; with `use_bn` a BatchNorm after it, and a Scale or, without `use_scale`, a Bias; a ReLU.

    Args:
        kernel_size, pad, stride: a number, or a list of height and width.
        bn_params: `eps` (0.001), `moving_average_fraction` (0.999), `use_global_stats` (False). With the last, neither
            the statistics nor what comes after them is learned.
    """
    sizes = {"kernel": kernel_size, "pad": pad, "stride": stride}
    heights_widths = {name: UnpackVariable(size, 2) for name, size in sizes.items()}
    if len(set(heights_widths["kernel"])) == 1:
        window = {name: size[0] for name, size in heights_widths.items()}
        window["kernel_size"] = window.pop("kernel")
    else:
        window = {
            f"{name}_{side}": one for name, size in heights_widths.items() for side, one in zip("hw", size, strict=True)
        }
    if use_bn:
        learned = {"param": [{"lr_mult": lr_mult, "decay_mult": 1}], "bias_term": False}
        learned["weight_filler"] = {"type": "gaussian", "std": 0.01}
    else:
        learned = _weights_and_bias(lr_mult)
    if dilation > 1:
        learned["dilation"] = dilation
    name = f"{conv_prefix}{out_layer}{conv_postfix}"
    net[name] = L.Convolution(net[from_layer], num_output=num_output, **window, **learned)
    if use_bn:
        bn_name = f"{bn_prefix}{out_layer}{bn_postfix}"
        net[bn_name] = L.BatchNorm(net[name], in_place=True, **_statistics(bn_params))
        factor = 0 if bn_params.get("use_global_stats") else lr_mult
        rates = {"lr_mult": factor, "decay_mult": 0}
        one, zero = ({"type": "constant", "value": value} for value in (1.0, 0.0))
        if use_scale:
            scale = {"param": [rates, rates], "filler": one, "bias_term": True, "bias_filler": zero}
            net[f"{scale_prefix}{out_layer}{scale_postfix}"] = L.Scale(net[bn_name], in_place=True, **scale)
        else:
            bias = {"param": [rates], "filler": zero}
            net[f"{bias_prefix}{out_layer}{bias_postfix}"] = L.Bias(net[bn_name], in_place=True, **bias)
    if use_relu:
        net[f"{name}_relu"] = L.ReLU(net[name], in_place=True)


def _weights_and_bias(lr_mult: float = 1) -> dict[str, Any]:
    return {
        "param": [{"lr_mult": lr_mult, "decay_mult": 1}, {"lr_mult": 2 * lr_mult, "decay_mult": 0}],
        "weight_filler": {"type": "xavier"},
        "bias_filler": {"type": "constant", "value": 0},
    }


def _statistics(bn_params: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {"param": [_FROZEN] * 3, "eps": bn_params.get("eps", 0.001)}
    if bn_params.get("use_global_stats"):
        return {**found, "use_global_stats": True}
    return {**found, "moving_average_fraction": bn_params.get("moving_average_fraction", 0.999)}


def ResBody(
    net: NetSpec,
    from_layer: str,
    block_name: str,
    out2a: int,
    out2b: int,
    out2c: int,
    stride: int,
    use_branch1: bool,
    dilation: int = 1,
    **bn_param: Any,
) -> None:
    """A block of ResNet: 1x1, 3x3 and 1x1 convolutions, added to what they read, which `use_branch1` projects first."""
    affixes: dict[str, Any] = {
        "conv_prefix": f"res{block_name}_",
        "bn_prefix": f"bn{block_name}_",
        "bn_postfix": "",
        "scale_prefix": f"scale{block_name}_",
        "scale_postfix": "",
    }

    def branch(source: str, name: str, relu: bool, outputs: int, kernel: int, pad: int, step: int, **more: Any) -> str:
        ConvBNLayer(net, source, name, True, relu, outputs, kernel, pad, step, **more, **affixes, **bn_param)
        return f"res{block_name}_{name}"

    shortcut = branch(from_layer, "branch1", False, out2c, 1, 0, stride) if use_branch1 else from_layer
    last = branch(from_layer, "branch2a", True, out2a, 1, 0, stride)
    last = branch(last, "branch2b", True, out2b, 3, dilation, 1, dilation=dilation)
    last = branch(last, "branch2c", False, out2c, 1, 0, 1)
    name = f"res{block_name}"
    net[name] = L.Eltwise(net[shortcut], net[last])
    net[f"{name}_relu"] = L.ReLU(net[name], in_place=True)


def InceptionTower(
    net: NetSpec, from_layer: str, tower_name: str, layer_params: Iterable[Mapping[str, Any]], **bn_param: Any
) -> Top:
    """Convolutions, and poolings where the name has "pool" in it, one after the other; returns the last top."""
    for given in layer_params:
        params = dict(given)
        name = f"{tower_name}/{params.pop('name')}"
        if "pool" in name:
            net[name] = L.Pooling(net[from_layer], **params)
        else:
            ConvBNLayer(net, from_layer, name, use_bn=True, use_relu=True, use_scale=False, **{**params, **bn_param})
        from_layer = name
    top: Top = net[from_layer]
    return top


def CreateAnnotatedDataLayer(
    source: str,
    batch_size: int = 32,
    backend: int = P.Data.LMDB,
    output_label: bool = True,
    train: bool = True,
    label_map_file: str = "",
    anno_type: int | None = None,
    transform_param: Mapping[str, Any] = {},
    batch_sampler: Sequence[Mapping[str, Any]] = [{}],
) -> Any:
    """An AnnotatedData layer of one phase: its top, or with `output_label` two."""
    own: dict[str, Any] = {"label_map_file": label_map_file, "batch_sampler": list(batch_sampler)}
    if anno_type is not None:
        own["anno_type"] = anno_type
    return L.AnnotatedData(
        name="data",
        annotated_data_param=own,
        data_param={"batch_size": batch_size, "backend": backend, "source": source},
        ntop=2 if output_label else 1,
        include={"phase": caffe_pb2.TRAIN if train else caffe_pb2.TEST},
        transform_param=transform_param,
    )


# Bodies


def _conv_relu(net: NetSpec, from_layer: str, number: Any, outputs: int, kernel: int, **params: Any) -> str:
    """`conv<number>` and `relu<number>`; returns the name of the second."""
    name, relu = f"conv{number}", f"relu{number}"
    net[name] = L.Convolution(net[from_layer], num_output=outputs, kernel_size=kernel, **params, **_weights_and_bias())
    net[relu] = L.ReLU(net[name], in_place=True)
    return relu


def _max_pool(net: NetSpec, from_layer: str, name: str, kernel: int, stride: int, **params: Any) -> str:
    net[name] = L.Pooling(net[from_layer], pool=P.Pooling.MAX, **params, kernel_size=kernel, stride=stride)
    return name


def _fully_connected(net: NetSpec, from_layer: str, fc6: Mapping[str, Any] | None, outputs: int, dropout: bool) -> None:
    """fc6 and fc7, each with a ReLU and a Dropout: convolutions of the window `fc6`, or InnerProducts for None."""
    for number in (6, 7):
        if fc6 is None:
            layer = L.InnerProduct(net[from_layer], num_output=outputs)
        else:
            window = fc6 if number == 6 else {"kernel_size": 1}
            layer = L.Convolution(net[from_layer], num_output=outputs, **window, **_weights_and_bias())
        net[f"fc{number}"] = layer
        from_layer = f"relu{number}"
        net[from_layer] = L.ReLU(layer, in_place=True)
        if dropout:
            net[f"drop{number}"] = L.Dropout(net[from_layer], dropout_ratio=0.5, in_place=True)


def _freeze(net: NetSpec, names: Iterable[str]) -> None:
    for name in names:
        if name in net:
            net.update(name, {"param": [_FROZEN] * 2})


def ZFNetBody(
    net: NetSpec,
    from_layer: str,
    need_fc: bool = True,
    fully_conv: bool = False,
    reduced: bool = False,
    dilated: bool = False,
    dropout: bool = True,
    need_fc8: bool = False,
    freeze_layers: Sequence[str] = (),
) -> NetSpec:
    """The net of M. Zeiler and R. Fergus, from conv1 to relu5, fc7 or, with `need_fc8`, prob.

    Args:
        fully_conv: fc6 to fc8 are convolutions.
        reduced: fc6 and fc7 have 1,024 outputs and a 3x3 window, not 4,096 and 6x6.
        dilated: pool5 keeps the map's size, and fc6 is dilated for it.
        freeze_layers: names of layers that do not learn.
    """
    assert from_layer in net
    last = from_layer
    for number, outputs, pad, kernel in ((1, 96, 3, 7), (2, 256, 2, 5)):
        last = _conv_relu(net, last, number, outputs, kernel, pad=pad, stride=2)
        net[f"norm{number}"] = L.LRN(
            net[last], local_size=3, alpha=0.00005, beta=0.75, norm_region=P.LRN.WITHIN_CHANNEL, engine=P.LRN.CAFFE
        )
        last = _max_pool(net, f"norm{number}", f"pool{number}", 3, 2, pad=1)
    for number, outputs in ((3, 384), (4, 384), (5, 256)):
        last = _conv_relu(net, last, number, outputs, 3, pad=1)
    if need_fc:
        last = _max_pool(net, last, "pool5", 3, 1 if dilated else 2, pad=1)
        windows = {
            (True, True): {"pad": 5, "kernel_size": 3, "dilation": 5},
            (True, False): {"pad": 5, "kernel_size": 6, "dilation": 2},
            (False, True): {"pad": 2, "kernel_size": 3, "dilation": 2},
            (False, False): {"pad": 2, "kernel_size": 6},
        }
        outputs = 1024 if fully_conv and reduced else 4096
        _fully_connected(net, last, windows[dilated, reduced] if fully_conv else None, outputs, dropout)
    if need_fc8:
        top = net[list(net.keys())[-1]]
        if fully_conv:
            net.fc8 = L.Convolution(top, num_output=1000, kernel_size=1, **_weights_and_bias())
        else:
            net.fc8 = L.InnerProduct(top, num_output=1000)
        net.prob = L.Softmax(net.fc8)
    _freeze(net, freeze_layers)
    return net


def VGGNetBody(
    net: NetSpec,
    from_layer: str,
    need_fc: bool = True,
    fully_conv: bool = False,
    reduced: bool = False,
    dilated: bool = False,
    nopool: bool = False,
    dropout: bool = True,
    freeze_layers: Sequence[str] = (),
    dilate_pool4: bool = False,
) -> NetSpec:
    """VGG-16, from conv1_1 to relu5_3 or fc7.

    Args:
        fully_conv: fc6 and fc7 are convolutions.
        reduced: they have 1,024 outputs and a dilated 3x3 window, not 4,096 and 7x7.
        dilated: pool5 keeps the map's size, and fc6 is dilated for it.
        nopool: a convolution of stride 2 in place of each pooling.
        freeze_layers: names of layers that do not learn.
        dilate_pool4: pool4 keeps the map's size, and conv5 is dilated for it.
    """
    assert from_layer in net
    last, dilation = from_layer, 1

    def shrink(stage: int, convolutions: int, outputs: int, keep_size: bool) -> str:
        """What makes the map half as large, or with `keep_size` only looks at its surroundings."""
        if nopool:
            name, stride = f"conv{stage}_{convolutions + 1}", 1 if keep_size else 2
            params = {"num_output": outputs, "pad": 1, "kernel_size": 3, "stride": stride}
            net[name] = L.Convolution(net[last], **params, **_weights_and_bias())
            return name
        if keep_size:
            return _max_pool(net, last, f"pool{stage}", 3, 1, pad=1)
        return _max_pool(net, last, f"pool{stage}", 2, 2)

    for stage, convolutions, outputs in ((1, 2, 64), (2, 2, 128), (3, 3, 256), (4, 3, 512), (5, 3, 512)):
        more = {"pad": dilation, "dilation": dilation} if stage == 5 else {"pad": 1}
        for index in range(convolutions):
            last = _conv_relu(net, last, f"{stage}_{index + 1}", outputs, 3, **more)
        if stage == 4:
            keep_size = dilate_pool4 and not nopool
            last = shrink(stage, convolutions, outputs, keep_size)
            dilation = 2 if keep_size else 1
        elif stage < 5 or need_fc:
            last = shrink(stage, convolutions, outputs, dilated and stage == 5)
    if need_fc:
        kernel = 3 if reduced else 7
        if dilated:
            dilation *= 6 if reduced else 2
        elif reduced:
            dilation *= 3
        fc6 = {"pad": dilation * (kernel - 1) // 2, "kernel_size": kernel, "dilation": dilation}
        _fully_connected(net, last, fc6 if fully_conv else None, 1024 if fully_conv and reduced else 4096, dropout)
    _freeze(net, freeze_layers)
    return net


def ResNet101Body(
    net: NetSpec, from_layer: str, use_pool5: bool = True, use_dilation_conv5: bool = False, **bn_param: Any
) -> NetSpec:
    """ResNet-101, from conv1 to res5c or pool5. `use_dilation_conv5` keeps the map's size in the last stage."""
    return _resnet(net, from_layer, 3, 22, use_pool5, use_dilation_conv5, bn_param)


def ResNet152Body(
    net: NetSpec, from_layer: str, use_pool5: bool = True, use_dilation_conv5: bool = False, **bn_param: Any
) -> NetSpec:
    """ResNet-152; as `ResNet101Body`."""
    return _resnet(net, from_layer, 7, 35, use_pool5, use_dilation_conv5, bn_param)


def _resnet(
    net: NetSpec, from_layer: str, more3: int, more4: int, pool5: bool, dilate5: bool, bn_param: Mapping[str, Any]
) -> NetSpec:
    """`more3` and `more4` are the numbers of blocks after the first in the third and the fourth stage."""
    affixes: dict[str, Any] = {"bn_prefix": "bn_", "bn_postfix": "", "scale_prefix": "scale_", "scale_postfix": ""}
    ConvBNLayer(net, from_layer, "conv1", True, True, 64, 7, 3, 2, **affixes, **bn_param)
    last = _max_pool(net, "conv1", "pool1", 3, 2)
    stages = (
        (2, ["a", "b", "c"], 1),
        (3, ["a", *(f"b{index}" for index in range(1, more3 + 1))], 2),
        (4, ["a", *(f"b{index}" for index in range(1, more4 + 1))], 2),
        (5, ["a", "b", "c"], 1 if dilate5 else 2),
    )
    for stage, blocks, stride in stages:
        width = 16 * 2**stage
        dilation = 2 if stage == 5 and dilate5 else 1
        for block in blocks:
            first = block == "a"
            sizes = (width, width, 4 * width, stride if first else 1, first, dilation)
            ResBody(net, last, f"{stage}{block}", *sizes, **bn_param)
            last = f"res{stage}{block}"
    if pool5:
        net.pool5 = L.Pooling(net[last], pool=P.Pooling.AVE, global_pooling=True)
    return net


#: A tower of Inception: its suffix, and its layers in order. A layer is (outputs, kernel[, stride, pad]), or the
#: name of a pooling method and its stride.
_Tower = tuple[str, list[tuple[Any, ...]]]


def _inception(net: NetSpec, from_layer: str, name: str, towers: Sequence[_Tower], bn: Mapping[str, Any]) -> str:
    """Towers side by side, each (suffix, layers), then a Concat; returns its name, `<name>/join`.

    A further pair of layers in a list stands for two convolutions side by side on the tower's last one.
    """
    joined = []
    for suffix, layers in towers:
        tower = f"{name}{suffix}"
        straight = [layer for layer in layers if not isinstance(layer[0], tuple)]
        top = InceptionTower(net, from_layer, tower, _named(straight), **bn)
        for pair in (layer for layer in layers if isinstance(layer[0], tuple)):
            source, mixed = f"{tower}/{_named(straight)[-1]['name']}", f"{tower}/mixed"
            tops = [InceptionTower(net, source, mixed, [one], **bn) for one in _named(pair)]
            net[mixed] = L.Concat(*tops, axis=1)
            top = net[mixed]
        joined.append(top)
    net[f"{name}/join"] = L.Concat(*joined, axis=1)
    return f"{name}/join"


def _named(layers: Iterable[tuple[Any, ...]]) -> list[dict[str, Any]]:
    """The arguments of layers, under the names conv, conv_1, ... and pool."""
    found: list[dict[str, Any]] = []
    convolutions = 0
    for first, size, *more in layers:
        if isinstance(first, str):
            found.append(
                {"name": "pool", "pool": getattr(P.Pooling, first), "kernel_size": 3, "pad": 2 - size, "stride": size}
            )
            continue
        stride, pad = more or (1, None)
        params = {"num_output": first, "kernel_size": size, "pad": pad, "stride": stride}
        if isinstance(size, list):
            params.update(pad=[one // 2 for one in size], stride=[1, 1])
        elif pad is None:
            params["pad"] = size // 2
        found.append(dict(name=f"conv_{convolutions}" if convolutions else "conv", **params))
        convolutions += 1
    return found


def InceptionV3Body(net: NetSpec, from_layer: str, output_pred: bool = False, **bn_param: Any) -> NetSpec:
    """Inception v3, from conv to mixed_10/join, or with `output_pred` to softmax_prob."""
    last = from_layer
    for name, outputs, kernel, pad, stride in (
        ("conv", 32, 3, 0, 2),
        ("conv_1", 32, 3, 0, 1),
        ("conv_2", 64, 3, 1, 1),
        ("pool", 0, 3, 0, 2),
        ("conv_3", 80, 1, 0, 1),
        ("conv_4", 192, 3, 0, 1),
        ("pool_1", 0, 3, 0, 2),
    ):
        if outputs:
            ConvBNLayer(net, last, name, True, True, outputs, kernel, pad, stride, use_scale=False, **bn_param)
        else:
            _max_pool(net, last, name, kernel, stride, pad=pad)
        last = name
    row, column, wide, high = [1, 7], [7, 1], [1, 3], [3, 1]
    for name, pooled in (("mixed", 32), ("mixed_1", 64), ("mixed_2", 64)):
        towers: list[_Tower] = [
            ("", [(64, 1)]),
            ("/tower", [(48, 1), (64, 5)]),
            ("/tower_1", [(64, 1), (96, 3), (96, 3)]),
            ("/tower_2", [("AVE", 1), (pooled, 1)]),
        ]
        last = _inception(net, last, name, towers, bn_param)
    towers = [("", [(384, 3, 2, 0)]), ("/tower", [(64, 1), (96, 3), (96, 3, 2, 0)]), ("", [("MAX", 2)])]
    last = _inception(net, last, "mixed_3", towers, bn_param)
    for name, n in (("mixed_4", 128), ("mixed_5", 160), ("mixed_6", 160), ("mixed_7", 192)):
        towers = [
            ("", [(192, 1)]),
            ("/tower", [(n, 1), (n, row), (192, column)]),
            ("/tower_1", [(n, 1), (n, column), (n, row), (n, column), (192, row)]),
            ("/tower_2", [("AVE", 1), (192, 1)]),
        ]
        last = _inception(net, last, name, towers, bn_param)
    towers = [
        ("/tower", [(192, 1), (320, 3, 2, 0)]),
        ("/tower_1", [(192, 1), (192, row), (192, column), (192, 3, 2, 0)]),
        ("", [("MAX", 2)]),
    ]
    last = _inception(net, last, "mixed_8", towers, bn_param)
    for name, pool in (("mixed_9", "AVE"), ("mixed_10", "MAX")):
        pair = ((384, wide), (384, high))
        towers = [
            ("", [(320, 1)]),
            ("/tower", [(384, 1), pair]),
            ("/tower_1", [(448, 1), (384, 3), pair]),
            ("/tower_2", [(pool, 1), (192, 1)]),
        ]
        last = _inception(net, last, name, towers, bn_param)
    if output_pred:
        net.pool_3 = L.Pooling(net[last], pool=P.Pooling.AVE, kernel_size=8, pad=0, stride=1)
        net.softmax = L.InnerProduct(net.pool_3, num_output=1008)
        net.softmax_prob = L.Softmax(net.softmax)
    return net


# The head


def CreateMultiBoxHead(
    net: NetSpec,
    data_layer: str = "data",
    num_classes: int = 0,
    from_layers: Sequence[str] = (),
    use_objectness: bool = False,
    normalizations: Sequence[float] = (),
    use_batchnorm: bool = True,
    lr_mult: float = 1,
    use_scale: bool = True,
    min_sizes: Sequence[Any] = (),
    max_sizes: Sequence[Any] = (),
    prior_variance: Sequence[float] = (0.1,),
    aspect_ratios: Sequence[Any] = (),
    steps: Sequence[float] = (),
    img_height: int = 0,
    img_width: int = 0,
    share_location: bool = True,
    flip: bool = True,
    clip: bool = True,
    offset: float = 0.5,
    inter_layer_depth: Sequence[int] = (),
    kernel_size: int = 1,
    pad: int = 0,
    conf_postfix: str = "",
    loc_postfix: str = "",
    **bn_param: Any,
) -> list[Top]:
    """Places, confidences and prior boxes of the maps `from_layers`.

    Returns the tops mbox_loc, mbox_conf and mbox_priorbox.

    Lists have one entry for each of `from_layers`, or none.

    Args:
        normalizations: the scale of a Normalize layer before the convolutions; -1 for none.
        min_sizes, max_sizes, aspect_ratios: a number or a list, for the PriorBox layer.
        inter_layer_depth: outputs of a further 3x3 convolution before them; 0 for none.
        use_scale: has no effect, as in the fork.
        use_objectness: a fourth top, mbox_objectness.

    Raises:
        AssertionError: the lists' lengths differ, or a layer is missing.
    """
    assert num_classes > 0, "num_classes must be a positive number"
    assert data_layer in net, f'the net has no "{data_layer}"'
    given = {"normalizations": normalizations, "max_sizes": max_sizes, "aspect_ratios": aspect_ratios, "steps": steps}
    for name, values in dict(**given, inter_layer_depth=inter_layer_depth).items():
        assert not values or len(values) == len(from_layers), f"from_layers and {name} should have the same length"
    assert len(min_sizes) == len(from_layers), "from_layers and min_sizes should have the same length"
    parts: dict[str, list[Top]] = {"loc": [], "conf": [], "priorbox": []}
    if use_objectness:
        parts["objectness"] = []

    def predicted(source: str, part: str, outputs: int, postfix: str = "") -> None:
        name = f"{source}_mbox_{part}{postfix}"
        window = (kernel_size, pad, 1)
        ConvBNLayer(net, source, name, use_batchnorm, False, outputs, *window, lr_mult=lr_mult, **bn_param)
        net[f"{name}_perm"] = L.Permute(net[name], order=[0, 2, 3, 1])
        net[f"{name}_flat"] = L.Flatten(net[f"{name}_perm"], axis=1)
        parts[part].append(net[f"{name}_flat"])

    for index, source in enumerate(from_layers):
        if normalizations and normalizations[index] != -1:
            scale = {"type": "constant", "value": normalizations[index]}
            normalized = L.Normalize(net[source], scale_filler=scale, across_spatial=False, channel_shared=False)
            source = f"{source}_norm"
            net[source] = normalized
        if inter_layer_depth and inter_layer_depth[index] > 0:
            depth, inter = inter_layer_depth[index], f"{source}_inter"
            ConvBNLayer(net, source, inter, use_batchnorm, True, depth, 3, 1, 1, lr_mult=lr_mult, **bn_param)
            source = inter
        smallest = _list(min_sizes[index])
        largest = _list(max_sizes[index]) if max_sizes else []
        ratios = _list(aspect_ratios[index]) if aspect_ratios else []
        assert not largest or len(largest) == len(smallest), "max_size and min_size should have the same length"
        boxes = len(smallest) * (1 + bool(largest) + len(ratios) * (2 if flip else 1))
        predicted(source, "loc", 4 * boxes * (1 if share_location else num_classes), loc_postfix)
        predicted(source, "conf", num_classes * boxes, conf_postfix)
        prior: dict[str, Any] = {"min_size": smallest, "clip": clip, "variance": list(prior_variance), "offset": offset}
        if largest:
            prior["max_size"] = largest
        if ratios:
            prior.update(aspect_ratio=ratios, flip=flip)
        if steps and steps[index]:
            prior["step"] = steps[index]
        if img_height and img_width:
            same = img_height == img_width
            prior.update({"img_size": img_height} if same else {"img_h": img_height, "img_w": img_width})
        net[f"{source}_mbox_priorbox"] = L.PriorBox(net[source], net[data_layer], **prior)
        parts["priorbox"].append(net[f"{source}_mbox_priorbox"])
        if use_objectness:
            predicted(source, "objectness", 2 * boxes)
    for part, tops in parts.items():
        net[f"mbox_{part}"] = L.Concat(*tops, axis=2 if part == "priorbox" else 1)
    return [net[f"mbox_{part}"] for part in parts]


def _list(value: Any) -> list[Any]:
    return list(value) if isinstance(value, (list, tuple)) else [value]
