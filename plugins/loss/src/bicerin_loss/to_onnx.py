"""What the layers are in ONNX, for bicerin-onnx. Losses are left out of a model that is only run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bicerin.layer.onnx_graph import Graph


def softmax(graph: Graph, layer: Any) -> Any:
    axes = len(graph.tops[0])
    return graph.op("Softmax", graph.bottoms[0], axis=layer.param.softmax_param.axis % axes)


def accuracy(graph: Graph, layer: Any) -> None:
    """It needs labels."""
