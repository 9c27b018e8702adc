"""What the layers are in ONNX, for bicerin-onnx: what a trained net computes, without margins, which are for labels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from bicerin.layer.onnx_graph import Graph


def truncation(graph: Graph, layer: Any) -> Any:
    return graph.op("Max", graph.op("Min", graph.bottoms[0], layer.upper), layer.lower)


def soft_truncation(graph: Graph, layer: Any) -> Any:
    return graph.op("Sub", 1.0, graph.op("Exp", graph.op("Div", graph.op("Neg", graph.bottoms[0]), layer.c)))


def arccos(graph: Graph, layer: Any) -> Any:
    return graph.op("Acos", graph.bottoms[0])


def cosine(graph: Graph, layer: Any) -> Any:
    return graph.op("Cos", graph.bottoms[0])


def flip(graph: Graph, layer: Any) -> Any:
    axes = [axis for axis, part in enumerate(layer.backwards) if part.step == -1]
    if not axes:
        return graph.op("Identity", graph.bottoms[0])
    before_the_first = -(2**31)
    ones = [-1] * len(axes)
    return graph.op("Slice", graph.bottoms[0], ones, [before_the_first] * len(axes), axes, ones)


def gram(graph: Graph, layer: Any) -> Any:
    x = graph.op("Reshape", graph.bottoms[0], [0, 0, layer.planes[2]])
    product = graph.op("MatMul", x, graph.op("Transpose", x, perm=[0, 2, 1]))
    return graph.op("Unsqueeze", graph.op("Mul", product, float(layer.factor)), [3])


def slope(graph: Graph, layer: Any) -> Any:
    height, width = layer.height, layer.width
    places = np.zeros((1, 2, height, width), np.float32)
    places[0, 0] += np.arange(height, dtype=np.float32)[:, None] / height
    places[0, 1] += np.arange(width, dtype=np.float32) / width
    number = graph.sizes(graph.bottoms[0], 0, 1)
    all_places = graph.op("Expand", places, graph.op("Concat", number, [2, height, width], axis=0))
    return graph.op("Concat", graph.bottoms[0], all_places, axis=1)


def channel_scale(graph: Graph, layer: Any) -> Any:
    x, s = graph.bottoms
    if layer.is_global:
        param = layer.param.channel_scale_param
        scale = np.clip(graph.weights(0), param.min_global_scale, param.max_global_scale)
        y = graph.op("Mul", x, scale.reshape((1,) * len(x.shape)))
        return [y, graph.constant(scale)][: len(graph.tops)] if len(graph.tops) > 1 else y
    if layer.param.channel_scale_param.do_forward:
        if s.shape != (*s.shape[:1], 1, *x.shape[2:]):
            s = graph.op("Reshape", s, [-1, 1, *x.shape[2:]])
        return graph.op("Mul", x, s)
    return graph.op("Identity", x)


def pairwise(graph: Graph, layer: Any) -> Any:
    features = layer.shapes[0][2]
    a = graph.op("Reshape", graph.bottoms[0], [-1, 1, features])
    b = graph.op("Reshape", graph.bottoms[1], [1, -1, features])
    if layer.operation == "SUM":
        first, second = (
            value if factor == 1 else graph.op("Mul", value, factor)
            for value, factor in zip((a, b), layer.factors, strict=True)
        )
        return graph.op("Add", first, second)
    return graph.op("Mul" if layer.operation == "PROD" else "Max", a, b)


def inner_distance(graph: Graph, layer: Any) -> Any:
    """Of differences, as the layer computes it."""
    x = graph.op("Reshape", graph.bottoms[0], [-1, 1, layer.features])
    if layer.learned:
        weights = graph.weights(0)
        if layer.normalize:
            weights = weights / np.sqrt(np.square(weights).sum(axis=1, keepdims=True) + 1e-6).astype(weights.dtype)
        w: Any = weights[None]
    else:
        w = graph.op("Reshape", graph.bottoms[1], [1, -1, layer.features])
    delta = graph.op("Sub", x, w)
    power = graph.op("Abs", delta) if layer.first_power else graph.op("Mul", delta, delta)
    return graph.reduce("Sum", power, [2], keepdims=False)


def label_specific_rescale(graph: Graph, layer: Any) -> Any:
    """As it is: the weights are for TRAIN."""
    if layer.rescales:
        graph.refuse("with rescale_test, scores depend on their labels.")
    if len(graph.tops) > 1:
        graph.refuse("the weight, which only training has, is not exported: leave out the second top.")
    return graph.op("Identity", graph.bottoms[0])


def labeled_matching(graph: Graph, layer: Any) -> Any:
    """The products with what is remembered when the model is written."""
    labels = graph.bottoms[1]
    inside = graph.op("And", graph.op("Greater", labels, -1.0), graph.op("Less", labels, float(layer.classes)))
    return [unlabeled_matching(graph, layer), graph.op("Where", inside, labels, -1.0)]


def unlabeled_matching(graph: Graph, layer: Any) -> Any:
    x = graph.op("Flatten", graph.bottoms[0], axis=1)
    return graph.op("MatMul", x, graph.op("Transpose", graph.blob(0), perm=[1, 0]))


def label_specific_add(graph: Graph, layer: Any) -> Any:
    """Without the bias, which is added in TRAIN alone."""
    if len(graph.tops) > 1:
        graph.refuse("the bias, which only training has, is not exported: leave out the second top.")
    return graph.op("Identity", graph.bottoms[0])


def center_loss(graph: Graph, layer: Any) -> Any:
    if not graph.keeps_losses:
        return None
    features = layer.blobs[0].shape[1]
    x = graph.op("Reshape", graph.bottoms[0], [-1, features])
    labels = graph.cast(graph.op("Reshape", graph.bottoms[1], [-1]), "int64")
    delta = graph.op("Sub", x, graph.op("Gather", graph.blob(0), labels, axis=0))
    costs = graph.op("Abs", delta) if layer.first_power else graph.op("Mul", graph.op("Mul", delta, delta), 0.5)
    items = graph.op("Max", graph.cast(graph.op("Squeeze", graph.sizes(x, 0, 1), [0])), 1.0)
    return graph.op("Div", graph.op("ReduceSum", costs, keepdims=0), items)
