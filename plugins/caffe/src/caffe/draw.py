"""Pictures of nets, through pydot and Graphviz; see `bicerin.drawing`."""

from __future__ import annotations

import os
from typing import Any

import bicerin_proto
from bicerin.drawing import layer_color, layer_label, net_graph, num_output, rendered
from caffe.proto import caffe_pb2


def get_pooling_types_dict() -> dict[int, str]:
    """From a pooling method's number to its name."""
    return {number: name for name, number in caffe_pb2.PoolingParameter.PoolMethod.items()}


def get_edge_label(layer: Any) -> str:
    """How many outputs a layer makes, as text in quotes."""
    outputs = num_output(layer)
    return f'"{outputs}"' if outputs else '""'


def get_layer_lr_mult(layer: Any) -> list[float]:
    """The `lr_mult` of each `param` of a layer that learns."""
    return [spec.lr_mult for spec in layer.param]


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
