"""What the layers are in ONNX, for bicerin-onnx."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bicerin.layer.onnx_graph import Graph


def relu(graph: Graph, layer: Any) -> Any:
    if layer.negative_slope == 0:
        return graph.op("Relu", graph.bottoms[0])
    return graph.op("LeakyRelu", graph.bottoms[0], alpha=layer.negative_slope)


def prelu(graph: Graph, layer: Any) -> Any:
    # One slope a channel lies along axis 1, so that it needs an axis for each of those behind.
    shape = [] if layer.shared else [layer.channels, *[1] * (len(graph.tops[0]) - 2)]
    return graph.op("PRelu", graph.bottoms[0], graph.blob(0, shape))


def elu(graph: Graph, layer: Any) -> Any:
    return graph.op("Elu", graph.bottoms[0], alpha=layer.alpha)


def selu(graph: Graph, layer: Any) -> Any:
    if layer.scale <= 0:
        x = graph.bottoms[0]
        below = graph.op("Mul", graph.op("Sub", graph.op("Exp", graph.op("Min", x, 0.0)), 1.0), layer.negative)
        return graph.op("Where", graph.op("Greater", x, 0.0), graph.op("Mul", x, layer.scale), below)
    return graph.op("Selu", graph.bottoms[0], alpha=layer.negative / layer.scale, gamma=layer.scale)


def mish(graph: Graph, layer: Any) -> Any:
    (x,) = graph.bottoms
    return graph.op("Mul", x, graph.op("Tanh", graph.op("Softplus", x)))


def sigmoid(graph: Graph, layer: Any) -> Any:
    return graph.op("Sigmoid", graph.bottoms[0])


def tanh(graph: Graph, layer: Any) -> Any:
    return graph.op("Tanh", graph.bottoms[0])


def absval(graph: Graph, layer: Any) -> Any:
    return graph.op("Abs", graph.bottoms[0])


def bnll(graph: Graph, layer: Any) -> Any:
    return graph.op("Softplus", graph.bottoms[0])


def swish(graph: Graph, layer: Any) -> Any:
    (x,) = graph.bottoms
    return graph.op("Mul", x, graph.op("Sigmoid", _scaled(graph, x, layer.beta)))


def clip(graph: Graph, layer: Any) -> Any:
    return graph.op("Clip", graph.bottoms[0], float(layer.min), float(layer.max))


def threshold(graph: Graph, layer: Any) -> Any:
    return graph.cast(graph.op("Greater", graph.bottoms[0], float(layer.threshold)))


def dropout(graph: Graph, layer: Any) -> Any:
    if layer.drops:
        graph.refuse("with sample_weights_test it draws anew in each pass.")
    return graph.op("Identity", graph.bottoms[0]) if layer.scale == 1 else _scaled(graph, graph.bottoms[0], layer.scale)


def selu_dropout(graph: Graph, layer: Any) -> Any:
    return graph.op("Identity", graph.bottoms[0])


def symmetric_rectify(graph: Graph, layer: Any) -> Any:
    """x less what is left of it between -t and t."""
    (x,) = graph.bottoms
    shape = [] if layer.shared else [layer.channels, *[1] * (len(graph.tops[0]) - 2)]
    limit = graph.op("Max", graph.blob(0, shape), 0.0)
    return graph.op("Sub", x, graph.op("Max", graph.op("Min", x, limit), graph.op("Neg", limit)))


def sparsify(graph: Graph, layer: Any) -> Any:
    (x,) = graph.bottoms
    large = graph.op("Greater", graph.op("Abs", x), float(layer.threshold))
    return graph.op("Where", large, x, 0.0)


def power(graph: Graph, layer: Any) -> Any:
    (x,) = graph.bottoms
    if layer.slope == 0:
        return graph.op("Expand", layer.constant(), graph.op("Shape", x))
    x = _shifted(graph, _scaled(graph, x, layer.scale), layer.shift)
    if layer.power == 2:
        return graph.op("Mul", x, x)
    return x if layer.power == 1 else graph.op("Pow", x, float(layer.power))


def exp(graph: Graph, layer: Any) -> Any:
    y = graph.op("Exp", _scaled(graph, graph.bottoms[0], layer.inner_scale))
    return _scaled(graph, y, layer.outer_scale)


def log(graph: Graph, layer: Any) -> Any:
    line = _shifted(graph, _scaled(graph, graph.bottoms[0], layer.scale), layer.shift)
    return _scaled(graph, graph.op("Log", line), layer.base_scale)


def _scaled(graph: Graph, x: Any, factor: float) -> Any:
    return x if factor == 1 else graph.op("Mul", x, float(factor))


def _shifted(graph: Graph, x: Any, offset: float) -> Any:
    return x if offset == 0 else graph.op("Add", x, float(offset))
