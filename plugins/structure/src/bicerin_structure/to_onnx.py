"""What the layers are in ONNX, for bicerin-onnx."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from bicerin.layer.onnx_graph import Graph

_FAR = 2**62


def concat(graph: Graph, layer: Any) -> Any:
    return graph.op("Concat", *graph.bottoms, axis=layer.axis)


def slice_(graph: Graph, layer: Any) -> Any:
    if len(graph.tops) == 1:
        return graph.op("Identity", graph.bottoms[0])
    sizes = [shape[layer.axis] for shape in graph.tops]
    return graph.op("Split", graph.bottoms[0], sizes, axis=layer.axis, outputs=len(sizes))


def flatten(graph: Graph, layer: Any) -> Any:
    (x,) = graph.bottoms
    axes = len(x.shape)
    first, last = (axis % axes for axis in (layer.param.flatten_param.axis, layer.param.flatten_param.end_axis))
    if first == 1 and last == axes - 1:
        return graph.op("Flatten", x, axis=1)
    middle = -1 if first <= last else 1
    return graph.op("Reshape", x, [0] * first + [middle, *x.shape[last + 1 :]])


def reshape(graph: Graph, layer: Any) -> Any:
    (x,) = graph.bottoms
    param = layer.param.reshape_param
    axes = len(x.shape)
    start = param.axis if param.axis >= 0 else axes + param.axis + 1
    end = axes if param.num_axes == -1 else start + param.num_axes
    dims = list(param.shape.dim)
    # A 0 copies the size at the same place: those before, and those after if as many axes came as went.
    after = [0] * (axes - end) if len(dims) == end - start else list(x.shape[end:])
    shape = [0] * start + dims + after
    return graph.op("Reshape", x, np.array(shape, np.int64))


def eltwise(graph: Graph, layer: Any) -> Any:
    param = layer.param.eltwise_param
    terms = list(graph.bottoms)
    if param.operation == param.MAX:
        return graph.op("Max", *terms)
    if param.operation == param.SUM and param.coeff:
        terms = [x if factor == 1 else graph.op("Mul", x, factor) for x, factor in zip(terms, param.coeff, strict=True)]
    operation = param.EltwiseOp.Name(param.operation)
    if operation == "SORT":
        terms = [graph.op("Add", x, 1.0) for x in terms]
    operator = "Mul" if operation in ("PROD", "SORT") else "Add"
    y = terms[0]
    for term in terms[1:]:
        y = graph.op(operator, y, term)
    return y


def crop(graph: Graph, layer: Any) -> Any:
    """The size is asked of the second bottom when the model runs, so that it may change."""
    x, reference = graph.bottoms
    axes = len(x.shape)
    size = graph.sizes(reference, layer.first, axes)
    ends = graph.op("Add", size, layer.offsets) if any(layer.offsets) else size
    return graph.op("Slice", x, layer.offsets, ends, list(range(layer.first, axes)))


def switch(graph: Graph, layer: Any) -> Any:
    return graph.op("Identity", graph.bottoms[-1])


def tile(graph: Graph, layer: Any) -> Any:
    (x,) = graph.bottoms
    repeats = [1] * len(x.shape)
    repeats[layer.param.tile_param.axis % len(x.shape)] = layer.tiles
    return graph.op("Tile", x, repeats)


def reduction(graph: Graph, layer: Any) -> Any:
    (x,) = graph.bottoms
    param = layer.param.reduction_param
    axes = list(range(param.axis % len(x.shape), len(x.shape)))
    kind = {param.SUM: "Sum", param.ASUM: "L1", param.SUMSQ: "SumSquare", param.MEAN: "Mean"}[param.operation]
    y = graph.reduce(kind, x, axes, keepdims=False)
    return y if param.coeff == 1 else graph.op("Mul", y, float(param.coeff))


def argmax(graph: Graph, layer: Any) -> Any:
    """Of equal values Caffe takes the later, ArgMax and TopK of ONNX by default the earlier."""
    (x,) = graph.bottoms
    shape = graph.tops[0]
    if layer.axis is None:
        x = graph.op("Reshape", x, [0 if shape else 1, 1, -1])
        axis, size = 2, prod(graph.bottoms[0].shape[1:])
    else:
        axis, size = layer.axis, graph.bottoms[0].shape[layer.axis]
    if layer.top_k == 1 and not layer.out_max_val:
        y = graph.cast(graph.op("ArgMax", x, axis=axis, keepdims=1, select_last_index=1))
    else:
        backwards = graph.op("Slice", x, [-1], [-_FAR], [axis], [-1])
        values, places = graph.op("TopK", backwards, [layer.top_k], axis=axis, outputs=2)
        indices = graph.cast(graph.op("Sub", graph.constant(size - 1), places))
        if layer.axis is not None:
            y = values if layer.out_max_val else indices
        else:
            y = graph.op("Concat", indices, values, axis=1) if layer.out_max_val else indices
    if layer.axis is None and len(shape) > 3:
        y = graph.op("Unsqueeze", y, list(range(3, len(shape))))
    return y


def batch_reindex(graph: Graph, layer: Any) -> Any:
    x, indices = graph.bottoms
    return graph.op("Gather", x, graph.cast(indices, "int64"), axis=0)


def filter_(graph: Graph, layer: Any) -> Any:
    *items, selector = graph.bottoms
    passes = graph.cast(graph.op("Reshape", selector, [-1]), "bool")
    tops = []
    for index, x in enumerate(items):
        graph.varies(index)
        tops.append(graph.op("Compress", x, passes, axis=0))
    return tops


def parameter(graph: Graph, layer: Any) -> Any:
    return graph.op("Identity", graph.blob(0))


def silence(graph: Graph, layer: Any) -> Any:
    """It has no tops, and what it reads is no output of the net."""
    return ()
