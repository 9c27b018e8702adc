"""What the layers are in ONNX, for bicerin-onnx.

`ceil_mode` is never used: runtimes and versions of ONNX do not agree on what it means at the borders. The planes are
padded at their ends instead, so that as many windows fit as in Caffe.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from bicerin_pooling.window import Window

if TYPE_CHECKING:
    from bicerin.layer.onnx_graph import Graph

_LOWEST = float(np.finfo(np.float32).min)


def pooling(graph: Graph, layer: Any) -> Any:
    (x,) = graph.bottoms
    masked = len(graph.tops) > 1
    if layer.window is None and not masked and layer.method != "STOCHASTIC":
        return graph.op("GlobalMaxPool" if layer.method == "MAX" else "GlobalAveragePool", x)
    height, width = x.shape[2:]
    window = layer.window or Window(height, width, 1, 1, 0, 0)
    if layer.method == "AVE" and not layer.counts_padding and max(window[4:]) > 0:
        return _average_without_padding(graph, layer, x, window)
    return _pool(graph, layer, x, window, layer.ceil, masked)


def _average_without_padding(graph: Graph, layer: Any, x: Any, window: Window) -> Any:
    """The means of windows with padding, and over those of ones."""
    ones = graph.op("Expand", graph.constant(1.0), graph.op("Shape", x))
    ones.shape = x.shape
    means, shares = (_pool(graph, layer, one, window, layer.ceil, False) for one in (x, ones))
    return graph.op("Div", means, shares)


def global_sum_pooling(graph: Graph, layer: Any) -> Any:
    return graph.reduce("Sum", graph.bottoms[0], [0])


def spp(graph: Graph, layer: Any) -> Any:
    (x,) = graph.bottoms
    levels = []
    for level in range(layer.pyramid_height):
        bins = 2**level
        down, across = (-(-size // bins) for size in x.shape[2:])
        pads = [(length * bins - size + 1) // 2 for length, size in zip((down, across), x.shape[2:], strict=True)]
        pooled = _pool(graph, layer, x, Window(down, across, down, across, *pads), True, False)
        if layer.pyramid_height == 1:
            return pooled
        levels.append(graph.op("Flatten", pooled, axis=1))
    return graph.op("Concat", *levels, axis=1)


def _pool(graph: Graph, layer: Any, x: Any, window: Window, ceil: bool, masked: bool) -> Any:
    height, width = size = x.shape[2:]
    window = window.within(height, width)
    pooled = window.pooled_shape(height, width, ceil)
    begin = list(window[4:6])
    end = [
        _end_pad(ceil, number, length, kernel, stride, pad)
        for number, length, kernel, stride, pad in zip(pooled, size, window[:2], window[2:4], begin, strict=True)
    ]
    if layer.method == "MAX":
        return _max(graph, x, window, pooled, end, masked)
    shape: dict[str, Any] = {"kernel_shape": list(window[:2]), "strides": list(window[2:4])}
    if layer.method == "AVE":
        if graph.any_size and ceil and all(p + s <= k for k, s, p in zip(window[:2], window[2:4], begin, strict=True)):
            return _average(graph, x, begin, end, shape)
        y = graph.op("AveragePool", _padded(graph, x, begin, end, 0.0), **shape)
        correction = _correction(window, size, pooled)
        return y if (correction == 1).all() else graph.op("Mul", y, correction)
    # STOCHASTIC in TEST: each value weighted by its share of the window's sum, or 0 where that is not positive.
    x = _padded(graph, x, begin, end, 0.0)
    squares = graph.op("AveragePool", graph.op("Mul", x, x), **shape)
    sums = graph.op("AveragePool", x, **shape)
    return graph.op("Where", graph.op("Greater", sums, 0.0), graph.op("Div", squares, sums), 0.0)


def _end_pad(ceil: bool, number: int, length: int, kernel: int, stride: int, pad: int) -> int:
    """What is to be added at the end of an axis for `number` windows."""
    if not ceil:
        return pad
    if pad + stride <= kernel:
        # Caffe drops no window that starts in the padding, so that this is right for planes of any length.
        return pad + stride - 1
    return max((number - 1) * stride + kernel - length - pad, 0)


def _max(graph: Graph, x: Any, window: Window, pooled: tuple[int, int], end: list[int], masked: bool) -> Any:
    """The greatest values, and their places. A window that lies wholly beyond the plane has neither."""
    height, width = x.shape[2:]
    begin, beyond = list(window[4:6]), [0, 0]
    for axis, size in enumerate((height, width)):
        while (pooled[axis] - beyond[axis] - 1) * window[2 + axis] - begin[axis] >= size:
            beyond[axis] += 1
        if beyond[axis]:
            last = (pooled[axis] - beyond[axis] - 1) * window[2 + axis] + window[axis]
            end[axis] = max(last - size - begin[axis], 0)
    shape: dict[str, Any] = {"kernel_shape": list(window[:2]), "strides": list(window[2:4]), "pads": [*begin, *end]}
    if not masked:
        return _padded(graph, graph.op("MaxPool", x, **shape), [0, 0], beyond, _LOWEST)
    y, places = graph.op("MaxPool", x, outputs=2, **shape)
    # ONNX counts through the whole tensor, Caffe within each plane.
    plane: Any = height * width
    if graph.any_size:
        plane = graph.op("Mul", graph.sizes(x, 2, 3), graph.sizes(x, 3, 4))
    mask = graph.cast(graph.op("Mod", places, plane))
    return _padded(graph, y, [0, 0], beyond, _LOWEST), _padded(graph, mask, [0, 0], beyond, -1.0)


def _average(graph: Graph, x: Any, begin: list[int], end: list[int], shape: dict[str, Any]) -> Any:
    """Means of planes of any size: over the share of each window that Caffe counts, the plane and its padding."""
    y = graph.op("AveragePool", _padded(graph, x, begin, end, 0.0), **shape)
    size = graph.sizes(x, 2, 4)
    if any(begin):
        size = graph.op("Add", size, [2 * pad for pad in begin])
    counted = graph.op("Expand", graph.constant(1.0), graph.op("Concat", [1, 1], size, axis=0))
    beyond = [after - pad for after, pad in zip(end, begin, strict=True)]
    share = graph.op("AveragePool", _padded(graph, counted, [0, 0], beyond, 0.0), **shape)
    return graph.op("Div", y, share)


def _padded(graph: Graph, x: Any, begin: list[int], end: list[int], value: float) -> Any:
    pads = [0, 0, *begin, 0, 0, *end]
    return graph.op("Pad", x, pads, value) if any(pads) else x


def _correction(window: Window, size: tuple[int, int], pooled: tuple[int, int]) -> np.ndarray:
    """The area of the kernel over the area that Caffe divides by, of each window: padding counts up to `size + pad`."""
    parts = []
    for length, number, kernel, stride, pad in zip(size, pooled, window[:2], window[2:4], window[4:6], strict=True):
        start = np.arange(number) * stride - pad
        parts.append(np.minimum(start + kernel, length + pad) - start)
    with np.errstate(divide="ignore"):  # a window wholly outside has no mean in Caffe either
        return prod(window[:2]) / np.outer(*parts)
