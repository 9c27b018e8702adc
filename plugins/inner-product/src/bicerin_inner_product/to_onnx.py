"""What the layers are in ONNX, for bicerin-onnx."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from bicerin.layer.onnx_graph import Graph


def inner_product(graph: Graph, layer: Any) -> Any:
    x = graph.bottoms[0]
    axis = len(graph.tops[0]) - 1
    weight = _weight(graph, layer)
    if axis == 1:
        if len(x.shape) != 2:
            x = graph.op("Flatten", x, axis=1)
        bias = graph.blob(1) if layer.bias_term else None
        return graph.op("Gemm", x, weight, bias, transB=None if layer.transpose else 1)
    # Gemm is for matrices; the axes before `axis` stay as they are.
    if len(x.shape) != axis + 1:
        x = graph.op("Reshape", x, [0] * axis + [layer.features])
    if not layer.transpose:
        weight = graph.op("Transpose", weight, perm=[1, 0])
    y = graph.op("MatMul", x, weight)
    return graph.op("Add", y, graph.blob(1)) if layer.bias_term else y


def _weight(graph: Graph, layer: Any) -> Any:
    if not layer.learned:
        return graph.op("Flatten", graph.bottoms[1], axis=1)
    weight = graph.weights(0)
    if layer.normalize:
        return graph.constant(
            (weight / (np.square(weight).sum(axis=1, keepdims=True) + 1e-6) ** 0.5).astype(np.float32)
        )
    return graph.blob(0)


def embed(graph: Graph, layer: Any) -> Any:
    rows = graph.op("Gather", graph.blob(0), graph.cast(graph.bottoms[0], "int64"), axis=0)
    return graph.op("Add", rows, graph.blob(1)) if len(layer.blobs) > 1 else rows
