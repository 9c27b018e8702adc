"""What the layer is in ONNX: `bicerin export`, of bicerin-onnx, calls it for nets that have the layer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bicerin.layer.onnx_graph import Graph


def my_layer(graph: Graph, layer: Any) -> Any:
    """Shrink, and a factor for each channel: one axis, with axes of 1 for all behind."""
    (x,) = graph.bottoms
    shrunk = graph.op("Shrink", x, lambd=layer.threshold, bias=layer.threshold)
    return graph.op("Mul", shrunk, graph.blob(0, [layer.blobs[0].count, *[1] * (len(x.shape) - 2)]))
