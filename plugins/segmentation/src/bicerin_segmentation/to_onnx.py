"""What the layers are in ONNX, for bicerin-onnx."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bicerin_mobile.to_onnx import upsample

if TYPE_CHECKING:
    from bicerin.layer.onnx_graph import Graph


def unpooling(graph: Graph, layer: Any) -> Any:
    """The matrices of rows and columns, around each plane."""
    x = graph.bottoms[0]
    down, across = (np.array(band.arrays()[0], np.float32) for band in (layer.down, layer.across))
    return graph.op("MatMul", graph.op("MatMul", down, x), np.ascontiguousarray(across.T))


def seg_accuracy(graph: Graph, layer: Any) -> None:
    """Left out, as Accuracy is."""
    if graph.keeps_losses:
        graph.refuse("an accuracy of pixels by class is not exported: leave out keep_losses.")


def deconvnet_unpooling(graph: Graph, layer: Any) -> Any:
    """A mask as Upsample's, or matrices as UnPooling's."""
    if layer.masked:
        return upsample(graph, layer)
    x = graph.bottoms[0]
    down, across = (np.array(blob.data, np.float32) for blob in (layer.down, layer.across))
    return graph.op("MatMul", graph.op("MatMul", down, x), np.ascontiguousarray(across.T))


def parse_output(graph: Graph, layer: Any) -> Any:
    (x,) = graph.bottoms
    tops = [graph.cast(graph.op("ArgMax", x, axis=1, keepdims=1))]
    if len(graph.tops) > 1:
        tops.append(graph.reduce("Max", x, [1]))
    return tops
