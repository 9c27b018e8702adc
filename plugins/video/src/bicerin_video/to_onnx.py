"""What the layers are in ONNX, for bicerin-onnx."""

from __future__ import annotations

from functools import reduce
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from bicerin_pooling.spatial_pooling import Windows

if TYPE_CHECKING:
    from bicerin.layer.onnx_graph import Graph


def passed_on(graph: Graph, layer: Any) -> Any:
    return [graph.op("Identity", x) for x in graph.bottoms]


def batch_reduction(graph: Graph, layer: Any) -> Any:
    (x,) = graph.bottoms
    axis, shape = layer.axis, x.shape
    if layer.diagonal:
        n = shape[axis]
        rows = graph.op("Reshape", x, [*([0] * axis), n * n, *shape[axis + 2 :]])
        x = graph.op("Slice", rows, [0], [n * n], [axis], [n + 1])
    pooled = []
    for begin, end in layer.pieces:
        piece = graph.op("Slice", x, [begin], [end], [axis]) if len(layer.pieces) > 1 else x
        if layer.method == "TOPK":
            piece, _ = graph.op("TopK", piece, [layer.k], axis=axis, outputs=2)
        row = graph.op("ReduceSum", piece, [axis], keepdims=int(len(layer.pieces) > 1 or layer.levels != (1,)))
        divisor = layer.divisor(begin, end)
        pooled.append(row if divisor == 1 else graph.op("Div", row, float(divisor)))
    return pooled[0] if len(pooled) == 1 else graph.op("Concat", *pooled, axis=axis)


def pooling(graph: Graph, layer: Any) -> Any:
    """The bottom is padded at the ends of its axes, so that as many windows fit as in the layer: runtimes and versions
    of ONNX do not agree on what `ceil_mode` means there.
    """
    (x,) = graph.bottoms
    kernel, stride, pad, _ = windows = layer.windows
    sizes, numbers = x.shape[2:], graph.tops[0][2:]
    if len(sizes) > 3:
        graph.refuse(f"pooling over {len(sizes)} spatial axes is more than runtimes of ONNX compute: up to 3.")
    if any((n - 1) * s - p >= size for n, s, p, size in zip(numbers, stride, pad, sizes, strict=True)):
        graph.refuse("a window lies wholly beyond the bottom, and has no value in ONNX.")
    ends = [
        max((n - 1) * s + k - p - size, 0) for n, s, k, p, size in zip(numbers, stride, kernel, pad, sizes, strict=True)
    ]
    shape: dict[str, Any] = {"kernel_shape": list(kernel), "strides": list(stride)}
    if layer.method == "MAX":
        return graph.op("MaxPool", x, pads=[*pad, *ends], **shape)
    if any(pad) or any(ends):
        x = graph.op("Pad", x, [0, 0, *pad, 0, 0, *ends], 0.0)
    y = graph.op("AveragePool", x, **shape)
    correction = prod(kernel) / areas(windows, sizes, numbers)
    return y if (correction == 1).all() else graph.op("Mul", y, correction)


def areas(windows: Windows, sizes: tuple[int, ...], numbers: tuple[int, ...]) -> np.ndarray:
    """What the sum of each window is divided by: how much it has of the padded bottom."""
    sides = []
    for size, number, kernel, stride, pad in zip(sizes, numbers, *windows[:3], strict=True):
        start = np.arange(number) * stride - pad
        sides.append(np.minimum(start + kernel, size + pad) - start)
    return reduce(np.multiply.outer, sides)
