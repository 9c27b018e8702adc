"""A net as the graph that TensorBoard draws."""

from __future__ import annotations

from typing import Any

from tensorboardX.proto.attr_value_pb2 import AttrValue
from tensorboardX.proto.graph_pb2 import GraphDef
from tensorboardX.proto.tensor_shape_pb2 import TensorShapeProto
from tensorboardX.proto.versions_pb2 import VersionDef


def graph_of(net: Any) -> Any:
    """The layers of a net with the shapes of what they make, as a `GraphDef`.

    A layer that works in place reads what the layer before it made, as in the order in which they run. The layers that
    only hand a blob to several readers are left out.
    """
    graph = GraphDef(versions=VersionDef(producer=22))
    makers: dict[str, str] = {}
    names = _unique([node.name for node in net.nodes])
    for node, name in zip(net.nodes, names, strict=True):
        if node.type == "Split":
            makers.update(dict.fromkeys(node.top_names, makers[node.bottom_names[0]]))
            continue
        made = graph.node.add(name=name, op=node.type, input=[makers[bottom] for bottom in node.bottom_names])
        shapes = [
            TensorShapeProto(dim=[TensorShapeProto.Dim(size=size) for size in blob.shape])
            for blob in node.top[: len(node.top_names)]
        ]
        made.attr["_output_shapes"].CopyFrom(AttrValue(list=AttrValue.ListValue(shape=shapes)))
        for position, blob in enumerate(node.blobs):
            text = " x ".join(map(str, blob.shape))
            made.attr[f"parameters {position}"].CopyFrom(AttrValue(s=text.encode()))
        makers.update({top: f"{name}:{index}" if index else name for index, top in enumerate(node.top_names)})
    return graph


def _unique(names: list[str]) -> list[str]:
    """The names, those that came before with a number."""
    taken: set[str] = set()
    found = []
    for name in names:
        free, number = name or "layer", 1
        while free in taken:
            number += 1
            free = f"{name}_{number}"
        taken.add(free)
        found.append(free)
    return found
