"""What the layers are in ONNX, for bicerin-onnx."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from bicerin.layer.onnx_graph import Graph


def lrn(graph: Graph, layer: Any) -> Any:
    (x,) = graph.bottoms
    if layer.across and layer.beta > 0:
        return graph.op("LRN", x, alpha=layer.rate * layer.size, beta=layer.beta, bias=layer.shift, size=layer.size)
    # ONNX has no LRN within a channel, and ONNX Runtime no beta below 0. What lies outside counts as zeros, and in the
    # area.
    pad = (layer.size - 1) // 2
    squares = graph.op("Mul", x, x)
    if layer.across:
        squares = graph.op("Reshape", squares, [0, 1, x.shape[1], -1])
    kernel = [layer.size, 1 if layer.across else layer.size]
    across = 0 if layer.across else pad
    if pad:
        squares = graph.op("Pad", squares, [0, 0, pad, across, 0, 0, pad, across], 0.0)
    mean = graph.op("AveragePool", squares, kernel_shape=kernel, strides=[1, 1])
    if layer.across:
        mean = graph.op("Reshape", mean, graph.op("Shape", x))
    scale = graph.op("Add", graph.op("Mul", mean, float(layer.rate * kernel[0] * kernel[1])), float(layer.shift))
    return graph.op("Mul", x, graph.op("Pow", scale, -float(layer.beta)))


def mvn(graph: Graph, layer: Any) -> Any:
    """Caffe adds eps to the standard deviation, ONNX's operators to the variance: it is composed."""
    (x,) = graph.bottoms
    if len(x.shape) < 4:
        x = graph.op("Reshape", x, [0] * len(x.shape) + [1] * (4 - len(x.shape)))
    axes = [1, 2, 3] if layer.across_channels else [2, 3]
    y = graph.op("Sub", x, graph.reduce("Mean", x, axes))
    if not layer.normalize_variance:
        return y
    variance = graph.reduce("Mean", graph.op("Mul", y, y), axes)
    return graph.op("Div", y, graph.op("Add", graph.op("Sqrt", variance), float(layer.eps)))


def batch_norm(graph: Graph, layer: Any) -> Any:
    y = _batch_norm(graph, layer)
    return graph.op("Relu", y) if layer.rectifies else y


def _batch_norm(graph: Graph, layer: Any) -> Any:
    (x,) = graph.bottoms
    axes = len(x.shape)
    if layer.use_global_stats:
        weight = graph.weights(2).item()
        factor = 1 / weight if weight else 0.0
        mean, variance = graph.weights(0) * factor, graph.weights(1) * factor
        if not layer.centers:
            mean = np.zeros_like(mean)
        if not layer.divides:
            variance = np.full_like(variance, 1 - layer.eps)
        if axes == 1:
            inverse = 1 / np.sqrt(variance + layer.eps)
            y = graph.op("Add", graph.op("Mul", x, inverse), -mean * inverse)
            return _scaled_and_shifted(graph, layer, y, axes)
        one, zero = np.ones(layer.channels), np.zeros(layer.channels)
        if layer.scales:
            one, zero = graph.blob(3), graph.blob(4) if layer.shifts else zero
        return graph.op("BatchNormalization", x, one, zero, mean, variance, epsilon=float(layer.eps))
    if graph.remembers:
        graph.refuse("runtimes do not move the layer's own statistics, as each run does with use_global_stats: false.")
    if not layer.stats_batch_size:
        y = _normalized(graph, layer, x, [axis for axis in range(axes) if axis != 1])
    else:
        shape: Any = [-1, layer.stats_batch_size, *x.shape[1:2]]
        if axes > 2:
            shape = graph.op("Concat", shape, graph.sizes(x, 2, axes), axis=0)
        y = _normalized(graph, layer, graph.op("Reshape", x, shape), [1, *range(3, axes + 1)])
        y = graph.op("Reshape", y, graph.op("Shape", x))
    return _scaled_and_shifted(graph, layer, y, axes)


def _normalized(graph: Graph, layer: Any, x: Any, reduced: list[int]) -> Any:
    """By the statistics of what is there, over these axes."""
    y = graph.op("Sub", x, graph.reduce("Mean", x, reduced)) if layer.centers else x
    if layer.divides:
        variance = graph.reduce("Mean", graph.op("Mul", y, y), reduced)
        y = graph.op("Div", y, graph.op("Sqrt", graph.op("Add", variance, float(layer.eps))))
    return y


def _scaled_and_shifted(graph: Graph, layer: Any, y: Any, axes: int) -> Any:
    if not layer.scales:
        return y
    shape = [layer.channels, *[1] * (axes - 2)]
    y = graph.op("Mul", y, graph.blob(3, shape))
    return graph.op("Add", y, graph.blob(4, shape)) if layer.shifts else y


def scale(graph: Graph, layer: Any) -> Any:
    x = graph.bottoms[0]
    param = layer.param.scale_param
    factors = _operand(graph, layer, param.axis)
    if layer.bounded:
        factors = graph.op("Clip", factors, *layer.bounds)
    y = graph.op("Mul", x, factors)
    if not layer.bias_term:
        return y
    index = len(layer.blobs) - 1
    if len(graph.bottoms) > 1 and layer.blobs[index].shape != graph.bottoms[1].shape:
        graph.refuse(f"the bias is learned for scales of the shape {layer.blobs[index].shape}.")
    return graph.op("Add", y, _learned(graph, layer, index, x, param.axis))


def bias(graph: Graph, layer: Any) -> Any:
    return graph.op("Add", graph.bottoms[0], _operand(graph, layer, layer.param.bias_param.axis))


def _operand(graph: Graph, layer: Any, axis: int) -> Any:
    """The second operand, with an axis of 1 for each that it lacks behind."""
    x = graph.bottoms[0]
    if len(graph.bottoms) == 1:
        return _learned(graph, layer, 0, x, axis)
    operand = graph.bottoms[1]
    missing = _missing(x, operand.shape, axis)
    if not missing:
        return operand
    axes = len(operand.shape)
    return graph.op("Unsqueeze", operand, list(range(axes, axes + missing)))


def _learned(graph: Graph, layer: Any, index: int, x: Any, axis: int) -> Any:
    shape = layer.blobs[index].shape
    return graph.blob(index, (*shape, *[1] * _missing(x, shape, axis)))


def _missing(x: Any, shape: tuple[int, ...], axis: int) -> int:
    axes = len(x.shape)
    return axes - (axis % axes) - len(shape) if shape else 0
