"""What the layers are in ONNX, for bicerin-onnx."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bicerin_convolution.to_onnx import convolution
from bicerin_mobile.nms_kernels import REACH

if TYPE_CHECKING:
    from bicerin.layer.onnx_graph import Graph

__all__ = [
    "axpy",
    "bn",
    "broadcast_mul",
    "convolution",
    "imresize",
    "interp",
    "maximum",
    "nms",
    "relu6",
    "shuffle_channel",
    "spatial_transformer",
    "upsample",
]

_FAR = 2**62


def relu6(graph: Graph, layer: Any) -> Any:
    (x,) = graph.bottoms
    if layer.negative_slope == 0:
        return graph.op("Clip", x, 0.0, 6.0)
    return graph.op("Min", graph.op("LeakyRelu", x, alpha=layer.negative_slope), 6.0)


def shuffle_channel(graph: Graph, layer: Any) -> Any:
    (x,) = graph.bottoms
    if layer.group == 1:
        return graph.op("Identity", x)
    parted = graph.op("Reshape", x, [0, layer.group, x.shape[1] // layer.group, -1])
    return graph.op("Reshape", graph.op("Transpose", parted, perm=[0, 2, 1, 3]), graph.op("Shape", x))


def broadcast_mul(graph: Graph, layer: Any) -> Any:
    x, a = graph.bottoms[layer.larger], graph.bottoms[1 - layer.larger]
    missing = len(x.shape) - len(a.shape)
    if missing:
        a = graph.op("Unsqueeze", a, list(range(len(a.shape), len(x.shape))))
    return graph.op("Mul", x, a)


def axpy(graph: Graph, layer: Any) -> Any:
    a, x, y = graph.bottoms
    if len(a.shape) != len(x.shape):
        a = graph.op("Reshape", a, [0, 0, *[1] * (len(x.shape) - 2)])
    return graph.op("Add", graph.op("Mul", a, x), y)


def upsample(graph: Graph, layer: Any) -> Any:
    x = graph.bottoms[0]
    if layer.masked:
        return _unpooled(graph, layer)
    if layer.scale == 1:
        return graph.op("Identity", x)
    scales = [1.0] * (len(x.shape) - 2) + [float(layer.scale)] * 2
    return graph.op(
        "Resize",
        x,
        None,
        scales,
        mode="nearest",
        coordinate_transformation_mode="asymmetric",
        nearest_mode="floor",
    )


def _unpooled(graph: Graph, layer: Any) -> Any:
    """Each pixel goes to the place in its plane that the mask says."""
    x, mask = graph.bottoms
    height, width = graph.tops[0][2:]
    planes = graph.sizes(x, 0, 2)
    pixels: Any = [height * width]
    size: Any = [0, 0, height, width]
    if graph.any_size and layer.size is None:
        lengths = graph.op("Mul", graph.sizes(x, 2, 4), list(layer.scales))
        if any(layer.less):
            lengths = graph.op("Sub", lengths, list(layer.less))
        pixels = graph.reduce("Prod", lengths, [0])
        size = graph.op("Concat", [0, 0], lengths, axis=0)
    empty = graph.op("ConstantOfShape", graph.op("Concat", planes, pixels, axis=0))
    places = graph.cast(graph.op("Reshape", mask, [0, 0, -1]), "int64")
    y = graph.op("ScatterElements", empty, places, graph.op("Reshape", x, [0, 0, -1]), axis=2)
    return graph.op("Reshape", y, size)


def interp(graph: Graph, layer: Any) -> Any:
    (x,) = graph.bottoms
    planes = graph.sizes(x, 0, 2)
    before, after = layer.crop
    if before or after:
        ends = [-after if after else _FAR] * 2
        x = graph.op("Slice", x, [before, before], ends, [2, 3])
    size: Any = list(graph.tops[0][2:])
    if layer.size is None and graph.any_size:
        size = graph.op("Sub", graph.sizes(x, 2, 4), 1)
        if layer.shrink is not None:
            size = graph.op("Div", size, layer.shrink)
        size = graph.op("Add", graph.op("Mul", size, layer.zoom or 1), 1)
    size = graph.op("Concat", planes, size, axis=0)
    how: dict[str, Any] = {"mode": "linear"}
    if layer.nearest:
        how = {"mode": "nearest", "nearest_mode": "round_prefer_ceil"}
    return graph.op("Resize", x, None, None, size, coordinate_transformation_mode="align_corners", **how)


def imresize(graph: Graph, layer: Any) -> Any:
    (x,) = graph.bottoms
    rows, columns = (
        _tap_matrices(taps, length) for taps, length in zip((layer.rows, layer.columns), x.shape[2:], strict=True)
    )
    resized = graph.op("MatMul", graph.op("MatMul", rows[:, None], x), columns.transpose(0, 2, 1)[:, None])
    return graph.reduce("Mean", resized, [0])


def _tap_matrices(taps: Any, length: int) -> Any:
    """What each row or column of the bottom gives to each of the top, (S, after, length)."""
    places, weights = taps
    there = np.asarray(places)[..., None] == np.arange(length)
    return (there * np.asarray(weights, np.float32)[..., None]).sum(axis=2).astype(np.float32)


def nms(graph: Graph, layer: Any) -> Any:
    """Peaks by comparison with their neighbours, then 7 x 7 pixels around each of the first of them."""
    maps = graph.op("Slice", graph.bottoms[0], [0], [layer.parts], [1])
    is_peak = graph.op("And", graph.op("Greater", maps, layer.threshold), _tops_its_neighbours(graph, maps))
    is_peak = graph.op("Reshape", graph.cast(is_peak), [0, 0, -1])
    count = graph.reduce("Sum", is_peak, [2])
    # Of equal values TopK takes the first: peaks row by row, and then what there always is enough of.
    room = graph.op("Pad", is_peak, [0, 0, 0, 0, 0, layer.limit])
    there, place = graph.op("TopK", room, [layer.limit], axis=2, outputs=2)
    there = graph.op("Greater", there, 0.5)
    place = graph.op("Where", there, place, graph.constant(0))
    value = graph.op("GatherElements", graph.op("Reshape", maps, [0, 0, -1]), place, axis=2)
    columns = [graph.op("Where", there, number, 0.0) for number in (*_centre(graph, layer, maps, place), value)]
    peaks = graph.op("Concat", *(graph.op("Unsqueeze", number, [3]) for number in columns), axis=3)
    counts = graph.op("Pad", graph.op("Unsqueeze", count, [3]), [0, 0, 0, 0, 0, 0, 0, 2])
    return graph.op("Concat", counts, peaks, axis=2)


def _tops_its_neighbours(graph: Graph, maps: Any) -> Any:
    """Whether a pixel is more than the 8 around it, which none at the border is."""
    above_all = float(np.finfo(np.float32).max)
    padded = graph.op("Pad", maps, [0, 0, 1, 1, 0, 0, 1, 1], above_all)
    rows = graph.op("MaxPool", padded, kernel_shape=[1, 3])
    around = [graph.op("Slice", rows, [start], [end], [2]) for start, end in ((0, -2), (2, _FAR))]
    around += [graph.op("Slice", padded, [1, start], [-1, end], [2, 3]) for start, end in ((0, -2), (2, _FAR))]
    return graph.op("Greater", maps, graph.op("Max", *around))


def _centre(graph: Graph, layer: Any, maps: Any, place: Any) -> tuple[Any, Any]:
    """The mean x and y of the positive values around each place, (N, P, limit), weighted by them."""
    reach, size = REACH, 2 * REACH + 1
    width: Any = graph.sizes(maps, 3, 4) if graph.any_size else graph.bottoms[0].shape[3]
    line: Any = graph.op("Add", width, 2 * reach) if graph.any_size else width + 2 * reach
    # Row and column 0 count nothing.
    scores = graph.op("Slice", graph.op("Relu", maps), [1, 1], [_FAR, _FAR], [2, 3])
    scores = graph.op("Pad", scores, [0, 0, reach + 1, reach + 1, 0, 0, reach, reach])
    down, across = np.divmod(np.arange(size * size), size)
    row, column = graph.op("Div", place, width), graph.op("Mod", place, width)
    corner = graph.op("Unsqueeze", graph.op("Add", graph.op("Mul", row, line), column), [3])
    offsets = graph.op("Add", graph.op("Mul", down, line), across)
    around = graph.op("Reshape", graph.op("Add", corner, offsets), [0, 0, -1])
    around = graph.op("GatherElements", graph.op("Reshape", scores, [0, 0, -1]), around, axis=2)
    around = graph.op("Reshape", around, [0, 0, layer.limit, size * size])
    total = graph.reduce("Sum", around, [3], keepdims=False)
    some = graph.op("Greater", total, 0.0)
    divisor = graph.op("Where", some, total, 1.0)

    def mean(middle: Any, distance: Any) -> Any:
        moment = graph.reduce(
            "Sum", graph.op("Mul", around, (distance - reach).astype(np.float32)), [3], keepdims=False
        )
        moved = graph.op("Add", graph.cast(middle), graph.op("Div", moment, divisor))
        return graph.op("Where", some, moved, 0.0)

    return mean(column, across), mean(row, down)


def maximum(graph: Graph, layer: Any) -> Any:
    (x,) = graph.bottoms
    least = float(np.finfo(np.float32).tiny)
    maps = graph.op("Reshape", x, [0, 0, -1])
    place = graph.op("ArgMax", maps, axis=2, keepdims=1)
    value = graph.reduce("Max", maps, [2])
    place = graph.op("Where", graph.op("Greater", value, least), place, graph.constant(0))
    across = graph.cast(graph.op("Mod", place, graph.constant(layer.width)))
    along = graph.cast(graph.op("Div", place, graph.constant(layer.width)))
    return graph.op("Unsqueeze", graph.op("Concat", across, along, graph.op("Max", value, least), axis=2), [2])


def spatial_transformer(graph: Graph, layer: Any) -> Any:
    x, theta = graph.bottoms
    if graph.opset < 16:
        graph.refuse("GridSample is of opset 16 and later.")
    if not layer.given:
        graph.refuse("all numbers of theta are fixed, and the second bottom has none.")
    chosen = np.zeros((len(layer.given), 6), np.float32)
    chosen[np.arange(len(layer.given)), layer.given] = 1
    fixed = np.array(layer.fixed, np.float32)
    fixed[layer.given] = 0
    numbers = graph.op("Reshape", theta, [-1, len(layer.given)])
    full = graph.op("Add", graph.op("MatMul", numbers, chosen), fixed[None])
    # Row before column here; GridSample has x before y, and counts from the corners of pixels.
    matrix = graph.op("Reshape", full, [-1, 2, 3])
    swapped = graph.op("Gather", matrix, graph.constant([1, 0]), axis=1)
    grid = np.asarray(layer.grid, np.float32)
    places = graph.op("MatMul", grid[None], graph.op("Transpose", swapped, perm=[0, 2, 1]))
    places = graph.op("Add", places, np.array([[[1 / x.shape[3], 1 / x.shape[2]]]], np.float32))
    places = graph.op("Reshape", places, [-1, *graph.tops[0][2:], 2])
    mode = "linear" if graph.opset >= 20 else "bilinear"
    return graph.op("GridSample", x, places, mode=mode, padding_mode="zeros", align_corners=0)


def bn(graph: Graph, layer: Any) -> Any:
    (x,) = graph.bottoms
    axes = len(x.shape)
    channels = [layer.channels]
    shape = list(x.shape[1:]) if layer.by_place else [*channels, *[1] * (axes - 2)]
    if layer.averages and not layer.uses_batch:
        blobs = [graph.blob(index, channels) for index in range(4)]
        return graph.op("BatchNormalization", x, *blobs, epsilon=float(layer.eps))
    tops = []
    if layer.uses_batch:
        reduced = [0] if layer.by_place else [axis for axis in range(axes) if axis != 1]
        mean = graph.reduce("Mean", x, reduced)
        x = graph.op("Sub", x, mean)
        variance = graph.reduce("Mean", graph.op("Mul", x, x), reduced)
        x = graph.op("Div", x, graph.op("Sqrt", graph.op("Add", variance, float(layer.eps))))
        if len(graph.tops) > 1:
            tops = [graph.op("Reshape", value, [1, layer.channels, 1, 1]) for value in (mean, variance)]
    elif len(graph.tops) > 1:
        graph.refuse("with bn_mode: INFERENCE there are no mean and variance for further tops.")
    y = graph.op("Add", graph.op("Mul", x, graph.blob(0, shape)), graph.blob(1, shape))
    return [y, *tops[: len(graph.tops) - 1]]
