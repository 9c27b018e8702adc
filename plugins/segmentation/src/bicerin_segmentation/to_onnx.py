"""What the layers are in ONNX, for bicerin-onnx."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

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
