"""Pictures of nets, through pydot and Graphviz; see `bicerin.cli.drawing`."""

from __future__ import annotations

import os
from typing import Any

import bicerin_proto
from bicerin.cli.drawing import edge_label, layer_color, layer_label, net_graph, rendered
from caffe.proto import caffe_pb2


def get_pooling_types_dict() -> dict[int, str]:
    """From a pooling method's number to its name."""
    return {number: name for name, number in caffe_pb2.PoolingParameter.PoolMethod.items()}


def get_edge_label(layer: Any) -> str:
    """How many outputs a layer makes, of a Data layer its batch size, as Graphviz takes it."""
    return edge_label(layer) or '""'


def get_layer_lr_mult(layer: Any) -> tuple[float, float]:
    """The `lr_mult` of the weights and of the bias.

    Raises:
        ValueError: the layer is not a convolution or an InnerProduct, or has more than two `param`s.
    """
    if layer.type not in ("Convolution", "Deconvolution", "InnerProduct"):
        raise ValueError(f"{layer.type} layers do not have a learning rate multiplier")
    if len(layer.param) > 2:
        raise ValueError("Could not parse the learning rate multiplier")
    weights, bias = [spec.lr_mult for spec in layer.param] + [1.0] * (2 - len(layer.param))
    return weights, bias


def get_layer_label(layer: Any, rankdir: str, display_lrm: bool = False) -> str:
    """The text in a layer's box, in quotes."""
    separator = " " if rankdir in ("TB", "BT") else "\\n"
    return f'"{separator.join(layer_label(layer, display_lrm))}"'


def choose_color_by_layertype(layertype: str) -> str:
    """What a layer's box is filled with."""
    return layer_color(layertype)


def get_pydot_graph(
    caffe_net: Any, rankdir: str, label_edges: bool = True, phase: int | None = None, display_lrm: bool = False
) -> Any:
    """The graph of a NetParameter, a `pydot.Dot`."""
    return net_graph(caffe_net, rankdir, label_edges, phase, display_lrm)


def draw_net(
    caffe_net: Any, rankdir: str, ext: str = "png", phase: int | None = None, display_lrm: bool = False
) -> bytes:
    """The picture of a NetParameter in a format that Graphviz knows by this extension."""
    return rendered(net_graph(caffe_net, rankdir, True, phase, display_lrm), ext)


def draw_net_to_file(
    caffe_net: Any, filename: str, rankdir: str = "LR", phase: int | None = None, display_lrm: bool = False
) -> None:
    """Write the picture of a NetParameter, in the format that the file's extension names."""
    picture = draw_net(caffe_net, rankdir, os.path.splitext(filename)[1][1:] or "png", phase, display_lrm)
    with bicerin_proto.atomic_write(filename) as file:
        file.write(picture)
