"""What the layers are in ONNX, for bicerin-onnx."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from bicerin.layer.onnx_graph import Graph


def roi_pooling(graph: Graph, layer: Any) -> Any:
    maps, regions = graph.bottoms
    regions, scale = _rows(graph, regions), float(layer.spatial_scale)
    if scale < 0:  # they are parts of the image
        height, width = _size(graph, maps)
        factors: Any = np.array([[1.0, width, height, width, height]]) if not graph.any_size else None
        if factors is None:
            height, width = graph.cast(height), graph.cast(width)
            factors = graph.op("Concat", [1.0], width, height, width, height, axis=0)
        regions, scale = graph.op("Mul", regions, factors), 1.0
    elif layer.pad_ratio:  # x1 - ratio (x2 - x1 + 1), x2 + ratio (x2 - x1 + 1), and so on
        ratio = layer.pad_ratio
        grown = np.eye(5)
        grown[[1, 2, 3, 4], [1, 2, 3, 4]] += ratio
        grown[[3, 4, 1, 2], [1, 2, 3, 4]] = -ratio
        regions = graph.op("Add", graph.op("MatMul", regions, grown), [[0.0, -ratio, -ratio, ratio, ratio]])
    shape = [layer.pooled_h, layer.pooled_w]
    return graph.op("MaxRoiPool", maps, regions, pooled_shape=shape, spatial_scale=scale)


def roi_align(graph: Graph, layer: Any) -> Any:
    """ONNX's own is that of Mask R-CNN; of the others each sample is a sum over pixels."""
    if layer.kind != "averages":
        return _fork_roi_align(graph, layer)
    maps, regions = graph.bottoms
    image, corners = graph.op("Split", _rows(graph, regions), [1, 4], axis=1, outputs=2)
    return graph.op(
        "RoiAlign",
        maps,
        corners,
        graph.cast(graph.op("Reshape", image, [-1]), "int64"),
        output_height=layer.shape[0],
        output_width=layer.shape[1],
        sampling_ratio=max(layer.sampling_ratio, 0),
        spatial_scale=layer.spatial_scale,
        # Before opset 16 there is no other.
        coordinate_transformation_mode="output_half_pixel" if graph.opset >= 16 else None,
    )


def _fork_roi_align(graph: Graph, layer: Any) -> Any:
    maps, regions = graph.bottoms
    channels = maps.shape[1]
    table = graph.op("Reshape", maps, [0, channels, -1])
    table = graph.op("Reshape", graph.op("Transpose", table, perm=[0, 2, 1]), [-1, channels])
    image, x1, y1, x2, y2 = graph.op("Split", _rows(graph, regions), [1] * 5, axis=1, outputs=5)
    height, width = _size(graph, maps)
    rows = _fork_taps(graph, layer, y1, y2, height, layer.shape[0])
    columns = _fork_taps(graph, layer, x1, x2, width, layer.shape[1])
    planes = graph.op("Unsqueeze", graph.cast(image, "int64"), [2, 3, 4])
    sums = _by_taps(graph, table, planes, (height, width), rows, columns)
    return graph.op("Transpose", sums, perm=[0, 3, 1, 2])


def _fork_taps(graph: Graph, layer: Any, start: Any, stop: Any, size: Any, pooled: int) -> tuple[Any, Any]:
    """Pixels along one axis, (R, P, K), and what each counts, as `ROIAlignLayer.taps`."""
    length = graph.cast(size) if graph.any_size else float(size)
    last = graph.op("Sub", length, 1.0) if graph.any_size else length - 1
    if layer.pad_ratio:
        pad = graph.op("Mul", graph.op("Add", graph.op("Sub", stop, start), 1.0), float(layer.pad_ratio))
        start, stop = graph.op("Sub", start, pad), graph.op("Add", stop, pad)
    start, stop = (graph.op("Mul", end, float(layer.spatial_scale)) for end in (start, stop))
    places = np.arange(pooled, dtype=np.float32)[None]
    if layer.kind == "corners":
        extent = graph.op("Sub", stop, start)
        steps = graph.op("Mul", places, graph.op("Div", extent, float(pooled - 1)))
        at = graph.op("Add", graph.op("Sub", start, 0.5), steps)
        beyond = graph.op("Add", last, 0.5) if graph.any_size else last + 0.5
        counts = graph.op("And", graph.op("GreaterOrEqual", at, -0.5), graph.op("LessOrEqual", at, beyond))
        counts = graph.cast(graph.op("And", counts, graph.op("Greater", extent, 0.0)))
        at = graph.op("Max", graph.op("Min", at, last), 0.0)
    else:
        if graph.any_size:
            end = graph.op("Add", graph.op("Div", length, float(layer.spatial_scale)), 0.5)
            end = graph.op("Sub", graph.op("Floor", end), 1.0)
        else:
            end = float(np.floor(size / layer.spatial_scale + 0.5) - 1)
        start, stop = graph.op("Max", start, 0.0), graph.op("Min", stop, end)
        extent = graph.op("Max", graph.op("Add", graph.op("Sub", stop, start), 1.0), 1.0)
        steps = graph.op("Mul", places + np.float32(0.5), graph.op("Div", extent, float(pooled)))
        at = graph.op("Max", graph.op("Min", graph.op("Add", start, steps), last), 0.0)
    before = graph.op("Floor", at)
    after = graph.op("Min", graph.op("Add", before, 1.0), last)
    further = graph.op("Sub", at, before)
    pixels, weights = [], []
    for step in (-1, 0, 1, 2) if layer.kind == "cubic" else (0, 1):
        pixel = graph.op("Add", before, float(step)) if step else before
        pixels.append(graph.op("Max", graph.op("Min", pixel, last), 0.0))
        if layer.kind == "cubic":
            weights.append(_cubic_weight(graph, further, step))
        elif layer.kind == "corners":
            share = further if step else graph.op("Sub", 1.0, further)
            weights.append(graph.op("Mul", share, counts))
        else:  # on the last pixel, which has none after it, nothing
            weights.append(further if step else graph.op("Sub", after, at))
    pixels, weights = (
        graph.op("Concat", *(graph.op("Unsqueeze", one, [2]) for one in all_of_them), axis=2)
        for all_of_them in (pixels, weights)
    )
    return graph.cast(pixels, "int64"), weights


def _cubic_weight(graph: Graph, further: Any, step: int) -> Any:
    """Of the pixel `step` after the one before a place: cubic convolution with a = -1."""
    away = graph.op("Sub", further, float(step)) if step <= 0 else graph.op("Sub", float(step), further)
    squared = graph.op("Mul", away, away)
    if step in (0, 1):  # 1 + d² (d - 2)
        return graph.op("Add", graph.op("Mul", squared, graph.op("Sub", away, 2.0)), 1.0)
    # 4 + d (d (5 - d) - 8)
    inner = graph.op("Sub", graph.op("Mul", away, graph.op("Sub", 5.0, away)), 8.0)
    return graph.op("Add", graph.op("Mul", away, inner), 4.0)


def _by_taps(graph: Graph, table: Any, planes: Any, size: Any, rows: Any, columns: Any) -> Any:
    """Sums over taps along both axes, (R, P, Q, values), from a table with a row for each pixel of each plane.

    Args:
        planes: of each region and bin, to be broadcast to (R, P, Q, 1, 1).
        rows, columns: pixels and what they count, (R, P, K) and (R, Q, L).
    """
    height, width = size
    pixels = graph.op("Mul", height, width) if graph.any_size else height * width
    row, row_weight = (graph.op("Unsqueeze", value, [2, 4]) for value in rows)
    column, column_weight = (graph.op("Unsqueeze", value, [1, 3]) for value in columns)
    place = graph.op("Add", graph.op("Mul", row, width), column)
    found = graph.op("Gather", table, graph.op("Add", graph.op("Mul", planes, pixels), place), axis=0)
    weights = graph.op("Unsqueeze", graph.op("Mul", row_weight, column_weight), [5])
    return graph.reduce("Sum", graph.op("Mul", found, weights), [3, 4], keepdims=False)


def psroi_pooling(graph: Graph, layer: Any) -> Any:
    """Sums over bins from sums over everything above and to the left, in double precision."""
    maps, regions = graph.bottoms
    height, width = _size(graph, maps)
    group, outputs = layer.group_size, layer.output_dim
    total = graph.cast(maps, "float64")
    for axis in (2, 3):
        total = graph.op("CumSum", total, graph.constant(axis))
    total = graph.op("Pad", total, [0, 0, 1, 1, 0, 0, 0, 0])
    # One row of `outputs` values for each image, bin and pixel.
    if graph.any_size:
        line = graph.op("Add", width, 1)
        pixels = graph.op("Mul", graph.op("Add", height, 1), line)
    else:
        line, pixels = width + 1, (height + 1) * (width + 1)
    total = graph.op("Reshape", total, [0, outputs, group * group, -1])
    total = graph.op("Reshape", graph.op("Transpose", total, perm=[0, 2, 3, 1]), [-1, outputs])
    image, x1, y1, x2, y2 = graph.op("Split", _rows(graph, regions), [1] * 5, axis=1, outputs=5)
    rows = _bins(graph, y1, y2, layer.spatial_scale, group, height)
    columns = _bins(graph, x1, x2, layer.spatial_scale, group, width)
    rows = [graph.op("Unsqueeze", edge, [2]) for edge in rows]
    columns = [graph.op("Unsqueeze", edge, [1]) for edge in columns]
    image = graph.op("Unsqueeze", graph.cast(image, "int64"), [2])
    bins = np.arange(group * group).reshape(1, group, group)
    base = graph.op("Mul", graph.op("Add", graph.op("Mul", image, group * group), bins), pixels)

    def corner(row: Any, column: Any) -> Any:
        place = graph.op("Add", graph.op("Mul", row, line), column)
        return graph.op("Gather", total, graph.op("Add", base, place), axis=0)

    lower = graph.op("Sub", corner(rows[1], columns[1]), corner(rows[1], columns[0]))
    upper = graph.op("Sub", corner(rows[0], columns[1]), corner(rows[0], columns[0]))
    sums = graph.op("Sub", lower, upper)
    extents = [graph.op("Max", graph.op("Sub", edges[1], edges[0]), graph.constant(0)) for edges in (rows, columns)]
    area = graph.op("Mul", *extents)
    some = graph.op("Unsqueeze", graph.op("Greater", area, graph.constant(0)), [3])
    divisor = graph.op("Unsqueeze", graph.op("Max", area, graph.constant(1)), [3])
    mean = graph.cast(graph.op("Div", sums, graph.cast(divisor, "float64")))
    return graph.op("Transpose", graph.op("Where", some, mean, 0.0), perm=[0, 3, 1, 2])


def psroi_align(graph: Graph, layer: Any) -> Any:
    """Every sample is the sum of four pixels, taken from one row of outputs for each image, bin and pixel."""
    maps, regions = graph.bottoms
    group, outputs = layer.group, layer.output_dim
    height, width = _size(graph, maps)
    table = graph.op("Reshape", maps, [0, outputs, group * group, -1])
    table = graph.op("Reshape", graph.op("Transpose", table, perm=[0, 2, 3, 1]), [-1, outputs])
    image, x1, y1, x2, y2 = graph.op("Split", _rows(graph, regions), [1] * 5, axis=1, outputs=5)
    rows = _linear_taps(graph, layer, y1, y2, height)
    columns = _linear_taps(graph, layer, x1, x2, width)
    image = graph.op("Unsqueeze", graph.cast(image, "int64"), [2, 3, 4])
    bins = np.arange(group * group).reshape(1, group, group, 1, 1)
    planes = graph.op("Add", graph.op("Mul", image, group * group), bins)
    sums = _by_taps(graph, table, planes, (height, width), rows, columns)
    return graph.op("Transpose", sums, perm=[0, 3, 1, 2])


def _linear_taps(graph: Graph, layer: Any, start: Any, stop: Any, size: Any) -> tuple[Any, Any]:
    """Pixels along one axis, (R, G, 2 S), and what each counts, in the order of `PSROIAlignLayer.taps`."""
    group, samples, scale = layer.group, layer.sample_num, float(layer.spatial_scale)
    last = graph.cast(graph.op("Sub", size, 1)) if graph.any_size else float(size - 1)
    first = graph.op("Mul", start, scale)
    end = graph.op("Mul", graph.op("Add", stop, 1.0), scale)
    length = graph.op("Div", graph.op("Max", graph.op("Sub", end, first), 0.1), float(group))
    edges = graph.op("Add", graph.op("Mul", np.arange(group + 1, dtype=np.float32)[None], length), first)
    edges = graph.op("Unsqueeze", graph.op("Min", graph.op("Max", edges, 0.0), last), [2])
    step = graph.op("Unsqueeze", graph.op("Div", length, float(samples + 1)), [2])
    steps = graph.op("Mul", np.arange(1, samples + 1, dtype=np.float32)[None, None], step)
    at = graph.op("Add", graph.op("Slice", edges, [0], [group], [1]), steps)
    stops = graph.op("Slice", edges, [1], [group + 1], [1])
    share = graph.op("Div", graph.cast(graph.op("Less", at, stops)), float(samples))
    at = graph.op("Min", at, last)
    before = graph.op("Floor", at)
    after = graph.op("Min", graph.op("Add", before, 1.0), last)
    further = graph.op("Mul", graph.op("Sub", at, before), share)
    places = graph.cast(graph.op("Concat", before, after, axis=2), "int64")
    return places, graph.op("Concat", graph.op("Sub", share, further), further, axis=2)


def deformable_convolution(graph: Graph, layer: Any) -> Any:
    """What each element of the kernel reads, as a map of one column each, and a convolution over these.

    ONNX's own DeformConv fades to 0 over a pixel outside of the map, where this layer goes on to the edge, or is 0.
    """
    maps, offsets = graph.bottoms
    geometry, groups, channels = layer.geometry, layer.deformable_group, layer.channels
    elements = geometry.size
    output = _size(graph, offsets)
    shape: Any = [0, groups, elements, 2, *output]
    if graph.any_size:
        shape = graph.op("Concat", [0, groups, elements, 2], *output, axis=0)
    parts = graph.op("Split", graph.op("Reshape", offsets, shape), [1, 1], axis=3, outputs=2)
    inside, places, shares = [], [], []
    for axis, size in enumerate(_size(graph, maps)):
        element = np.divmod(np.arange(elements), geometry.kernel[1])[axis] * geometry.dilation[axis]
        first = (element - geometry.pad[axis]).astype(np.float32).reshape(1, 1, -1, 1, 1)
        steps = _steps(graph, output[axis], geometry.stride[axis], [-1, 1] if axis == 0 else [1, -1])
        moved = graph.op("Squeeze", parts[axis], [3])
        at = graph.op("Add", moved, graph.op("Add", steps, first))
        end = graph.cast(size) if graph.any_size else float(size)
        within = graph.op("And", graph.op("GreaterOrEqual", at, 0.0), graph.op("Less", at, end))
        inside.append(within)
        found, share = _around(graph, graph.op("Where", within, at, 0.0), size)
        places.append(found)
        shares.append(share)
    counts = graph.cast(graph.op("And", *inside))
    # A row of the channels of one group for each image, group and pixel.
    table = graph.op("Reshape", maps, [0, groups, channels // groups, -1])
    table = graph.op("Reshape", graph.op("Transpose", table, perm=[0, 1, 3, 2]), [-1, channels // groups])
    images = graph.op("Squeeze", graph.sizes(maps, 0, 1), [0])
    images = graph.op("Range", graph.constant(0), images, graph.constant(1))
    images = graph.op("Reshape", images, [-1, 1, 1, 1, 1])
    planes = graph.op("Add", graph.op("Mul", images, groups), np.arange(groups).reshape(1, groups, 1, 1, 1))
    read = _between_pixels(graph, table, planes, _size(graph, maps), places, shares, counts)
    columns = graph.op("Transpose", read, perm=[0, 1, 5, 2, 3, 4])
    columns = graph.op("Reshape", columns, [0, channels, elements, -1])
    bias = [graph.blob(1)] if len(layer.blobs) > 1 else []
    weights = graph.blob(0, [layer.num_output, channels // layer.group, elements, 1])
    y = graph.op("Conv", columns, weights, *bias, group=layer.group, kernel_shape=[elements, 1])
    shape = [0, layer.num_output, *output]
    if graph.any_size:
        shape = graph.op("Concat", [0, layer.num_output], *output, axis=0)
    return graph.op("Reshape", y, shape)


def deformable_psroi_pooling(graph: Graph, layer: Any) -> Any:
    """Samples of moved bins, each taken from one row of the outputs of a class for each image, class, bin and pixel."""
    maps, regions, *offsets = graph.bottoms
    group, samples, part, classes = layer.group_size, layer.samples, layer.part_size, layer.classes
    each = layer.output_dim // classes
    image, corners = graph.op("Split", _rows(graph, regions), [1, 4], axis=1, outputs=2)
    first, last = graph.op("Split", _rounded(graph, corners), [2, 2], axis=1, outputs=2)
    scale = float(layer.spatial_scale)
    start = graph.op("Sub", graph.op("Mul", first, scale), 0.5)
    end = graph.op("Sub", graph.op("Mul", graph.op("Add", last, 1.0), scale), 0.5)
    extent = graph.op("Max", graph.op("Sub", end, start), 0.1)
    # The bins of each class, (R, classes, G, G), and before that the offsets of their parts.
    moved: list[Any] = [None, None]
    if offsets:
        chosen = np.arange(group) * part // group
        shifts = graph.op("Reshape", offsets[0], [-1, classes, 2, part, part])
        shifts = graph.op("Gather", graph.op("Gather", shifts, chosen, axis=3), chosen, axis=4)
        shifts = graph.op("Mul", shifts, float(layer.trans_std))
        moved = [graph.op("Squeeze", one, [2]) for one in graph.op("Split", shifts, [1, 1], axis=2, outputs=2)]
    inside, places, shares = [], [], []
    for axis, size in enumerate(_size(graph, maps)):
        across = 1 - axis  # regions and offsets have x before y
        begin, length = (
            graph.op("Unsqueeze", graph.op("Slice", one, [across], [across + 1], [1]), [2, 3, 4, 5])
            for one in (start, extent)
        )
        bins = (np.arange(group, dtype=np.float32) / np.float32(group)).reshape((-1, 1) if axis == 0 else (1, -1))
        parts = graph.op("Add", moved[across], bins) if offsets else bins[None, None]
        parts = graph.op("Unsqueeze", parts, [4, 5])
        steps = np.arange(samples, dtype=np.float32).reshape([-1, 1] if axis == 0 else [1, -1])
        at = graph.op("Add", begin, graph.op("Mul", length, parts))
        at = graph.op("Add", at, graph.op("Div", graph.op("Mul", steps, length), float(group * samples)))
        last_place = graph.op("Sub", graph.cast(size), 1.0) if graph.any_size else float(size - 1)
        beyond = graph.op("Add", last_place, 0.5) if graph.any_size else last_place + 0.5
        inside.append(graph.op("And", graph.op("GreaterOrEqual", at, -0.5), graph.op("LessOrEqual", at, beyond)))
        found, share = _around(graph, graph.op("Max", graph.op("Min", at, last_place), 0.0), size)
        places.append(found)
        shares.append(share)
    counts = graph.cast(graph.op("And", *inside))
    number = graph.op("Max", graph.reduce("Sum", counts, [4, 5]), 1.0)
    counts = graph.op("Div", counts, number)
    table = graph.op("Reshape", maps, [0, classes, each, group * group, -1])
    table = graph.op("Reshape", graph.op("Transpose", table, perm=[0, 1, 3, 4, 2]), [-1, each])
    image = graph.op("Unsqueeze", graph.cast(image, "int64"), [2, 3, 4, 5])
    bins = np.arange(classes * group * group).reshape(1, classes, group, group, 1, 1)
    planes = graph.op("Add", graph.op("Mul", image, classes * group * group), bins)
    read = _between_pixels(graph, table, planes, _size(graph, maps), places, shares, counts)
    sums = graph.reduce("Sum", read, [4, 5], keepdims=False)
    sums = graph.op("Transpose", sums, perm=[0, 1, 4, 2, 3])
    return graph.op("Reshape", sums, [-1, layer.output_dim, group, group])


def decode_bbox(graph: Graph, layer: Any) -> Any:
    deltas, *others = graph.bottoms
    count = int(np.prod(deltas.shape[1:])) // 4
    regions = _rows(graph, others[-1])
    deltas = graph.op("Reshape", deltas, [-1, count, 4])
    if layer.of_classes:
        scores = graph.op("Reshape", others[0], [-1, count])
        second = graph.op("Slice", scores, [1], [2], [1])
        exceeds = graph.op("Mul", graph.cast(graph.op("Greater", scores, second)), np.arange(count, dtype=np.float32))
        best = graph.op("Max", graph.reduce("Max", exceeds, [1]), 1.0)
        best = graph.op("Unsqueeze", graph.cast(best, "int64"), [2])
        chosen = graph.op("GatherElements", deltas, graph.op("Expand", best, [1, 1, 4]), axis=1)
        chosen = graph.op("Squeeze", chosen, [1])
    else:
        chosen = graph.op("Squeeze", graph.op("Slice", deltas, [1], [2], [1]), [1])
    if layer.std != [1.0] * 4:
        chosen = graph.op("Mul", chosen, np.array([layer.std]))
    if any(layer.mean):
        chosen = graph.op("Add", chosen, np.array([layer.mean]))
    moved, grown = graph.op("Split", chosen, [2, 2], axis=1, outputs=2)
    image, first, last = graph.op("Split", regions, [1, 2, 2], axis=1, outputs=3)
    extent = graph.op("Add", graph.op("Sub", last, first), 1.0)
    if layer.of_classes:
        middle = graph.op("Add", first, graph.op("Mul", extent, 0.5))
    else:
        middle = graph.op("Mul", graph.op("Add", first, last), 0.5)
    middle = graph.op("Add", middle, graph.op("Mul", moved, extent))
    length = graph.op("Mul", extent, graph.op("Exp", grown))
    reach = graph.op("Mul", length if layer.of_classes else graph.op("Sub", length, 1.0), 0.5)
    boxes = graph.op("Concat", image, graph.op("Sub", middle, reach), graph.op("Add", middle, reach), axis=1)
    return graph.op("Reshape", boxes, [-1, 5, 1, 1])


def l1_loss(graph: Graph, layer: Any) -> Any:
    prediction, target = graph.bottoms
    size = int(np.prod(prediction.shape[1:]))
    difference = graph.op("Sub", *(graph.op("Reshape", x, [-1, size]) for x in (prediction, target)))
    images = graph.op("Squeeze", graph.sizes(difference, 0, 1), [0])
    total = graph.op("ReduceSum", graph.op("Abs", difference), keepdims=0)
    return graph.op("Div", total, graph.op("Max", graph.cast(images), 1.0))


def _steps(graph: Graph, size: Any, stride: int, shape: list[int]) -> Any:
    """0, stride, 2 stride, ... for so many places, in a shape to be broadcast."""
    if not graph.any_size:
        return (np.arange(size) * stride).astype(np.float32).reshape(shape)
    steps = graph.op("Range", graph.constant(0), graph.op("Squeeze", size, [0]), graph.constant(1))
    return graph.op("Reshape", graph.op("Mul", graph.cast(steps), float(stride)), shape)


def _around(graph: Graph, at: Any, size: Any) -> tuple[tuple[Any, Any], Any]:
    """The pixels before and after each place of an axis, within the map, int64, and how far it is on, 0 to 1."""
    last = graph.op("Sub", graph.cast(size), 1.0) if graph.any_size else float(size - 1)
    before = graph.op("Floor", at)
    after = graph.op("Min", graph.op("Add", before, 1.0), last)
    return (graph.cast(before, "int64"), graph.cast(after, "int64")), graph.op("Sub", at, before)


def _between_pixels(graph: Graph, table: Any, planes: Any, size: Any, places: Any, shares: Any, counts: Any) -> Any:
    """Values between four pixels, from a table with a row for each pixel of each plane, times what each counts.

    Args:
        planes: the plane of each place.
        size: of a plane.
        places, shares: of `_around`, down before to the right.
        counts: of each place; the values have one axis more.
    """
    height, width = size
    pixels = graph.op("Mul", height, width) if graph.any_size else height * width
    first = graph.op("Mul", planes, pixels)
    total: Any = None
    for row, down in zip(places[0], (graph.op("Sub", 1.0, shares[0]), shares[0]), strict=True):
        line = graph.op("Add", first, graph.op("Mul", row, width))
        for column, across in zip(places[1], (graph.op("Sub", 1.0, shares[1]), shares[1]), strict=True):
            read = graph.op("Gather", table, graph.op("Add", line, column), axis=0)
            weight = graph.op("Mul", graph.op("Mul", down, across), counts)
            part = graph.op("Mul", read, graph.op("Unsqueeze", weight, [-1]))
            total = part if total is None else graph.op("Add", total, part)
    return total


def _size(graph: Graph, maps: Any) -> Any:
    """Height and width of maps: numbers, or where they may change, what the model finds them to be, of one element."""
    if graph.any_size:
        return graph.sizes(maps, 2, 3), graph.sizes(maps, 3, 4)
    return maps.shape[2:]


def _bins(graph: Graph, start: Any, stop: Any, scale: float, pooled: int, size: Any) -> list[Any]:
    """The first pixel of each bin along one axis and the one after its last, (R, pooled) each; as `scaled_bins`."""
    size = graph.cast(graph.op("Squeeze", size, [0])) if graph.any_size else float(size)
    first = graph.op("Mul", _rounded(graph, start), float(scale))
    end = graph.op("Mul", graph.op("Add", _rounded(graph, stop), 1.0), float(scale))
    length = graph.op("Max", graph.op("Sub", end, first), 0.1)
    step = graph.op("Div", length, float(pooled))
    edges = []
    for operator, places in (("Floor", np.arange(pooled)), ("Ceil", np.arange(1, pooled + 1))):
        edge = graph.op("Add", graph.op("Mul", places.astype(np.float32)[None], step), first)
        edge = graph.op("Clip", graph.op(operator, edge), 0.0, size)
        edges.append(graph.cast(edge, "int64"))
    return edges


def _rounded(graph: Graph, x: Any) -> Any:
    """To the nearest whole number, halves away from zero; ONNX's Round takes the nearest even one."""
    size = graph.op("Abs", x)
    whole = graph.op("Floor", size)
    more = graph.cast(graph.op("GreaterOrEqual", graph.op("Sub", size, whole), 0.5))
    return graph.op("Mul", graph.op("Add", whole, more), graph.op("Sign", x))


def _rows(graph: Graph, regions: Any) -> Any:
    return regions if len(regions.shape) == 2 else graph.op("Reshape", regions, [-1, 5])


def smooth_l1_loss(graph: Graph, layer: Any) -> Any:
    prediction, *others = graph.bottoms
    size = int(np.prod(prediction.shape[1:]))
    prediction, target, *weights = (graph.op("Reshape", x, [-1, size]) for x in (prediction, *others))
    x = graph.op("Sub", prediction, target)
    if weights:
        x = graph.op("Mul", x, weights[0])
    distance, sigma2 = graph.op("Abs", x), layer.sigma2
    square = graph.op("Mul", graph.op("Mul", x, x), 0.5 * sigma2)
    errors = graph.op("Where", graph.op("Less", distance, 1 / sigma2), square, graph.op("Sub", distance, 0.5 / sigma2))
    if len(weights) > 1:
        errors = graph.op("Mul", errors, weights[1])
    images = graph.op("Squeeze", graph.sizes(errors, 0, 1), [0])
    loss = graph.op("Div", graph.op("ReduceSum", errors, keepdims=0), graph.op("Max", graph.cast(images), 1.0))
    if len(graph.tops) == 1:
        return loss
    errors = graph.op("Reshape", errors, graph.op("Shape", graph.bottoms[0]))
    return [loss, graph.reduce("Sum", errors, [1])]


def proposal(graph: Graph, layer: Any) -> Any:
    """Boxes from anchors and deltas, the best of them, and those of these that do not overlap."""
    scores, deltas, info = graph.bottoms
    count = layer.anchors.shape[0]
    if not scores.shape[2] * scores.shape[3]:
        graph.refuse("the map has no places.")
    maps = scores
    scores = graph.op("Slice", scores, [count], [2 * count], [1])
    scores = graph.op("Reshape", graph.op("Transpose", scores, perm=[0, 2, 3, 1]), [0, -1])
    deltas = graph.op("Reshape", deltas, [0, count, 4, -1])
    moved, grown = graph.op("Split", graph.op("Transpose", deltas, perm=[0, 3, 1, 2]), [2, 2], axis=3, outputs=2)

    # Of each place and anchor, (N, H W, A, 2): x before y.
    anchors = np.array(layer.anchors.blob.read_only.data, np.float64)
    extent = anchors[:, 2:] - anchors[:, :2] + 1
    middle = graph.op("Add", _shifts(graph, maps, layer.feat_stride), anchors[:, :2] + extent / 2)
    middle = graph.op("Reshape", graph.op("Add", middle, graph.op("Mul", moved, extent)), [0, -1, 2])
    reach = graph.op("Reshape", graph.op("Mul", graph.op("Exp", grown), extent / 2), [0, -1, 2])

    # Height, width and scales of each image: (N or 1, 1, 2), x before y as in the boxes.
    numbers = _info_count(info.shape, graph.bottoms[0].shape[0])
    info = graph.op("Reshape", info, [-1, numbers])
    size = graph.op("Unsqueeze", graph.op("Gather", info, [1, 0], axis=1), [1])
    scale = graph.op("Unsqueeze", graph.op("Gather", info, [numbers - 1, 2], axis=1), [1])
    limit = graph.op("Sub", size, 1.0)
    corners = [
        graph.op("Max", graph.op("Min", graph.op(operator, middle, reach), limit), 0.0) for operator in ("Sub", "Add")
    ]
    boxes = graph.op("Concat", *corners, axis=2)
    extent = graph.op("Add", graph.op("Sub", corners[1], corners[0]), 1.0)
    large = graph.cast(graph.op("GreaterOrEqual", extent, graph.op("Mul", scale, float(layer.min_size))))
    scores = graph.op("Mul", scores, graph.reduce("Min", large, [2], keepdims=False))

    best: Any = min(layer.pre_nms_topn, maps.shape[2] * maps.shape[3] * count)
    if graph.any_size:
        best = graph.op("Min", graph.sizes(scores, 1, 2), [layer.pre_nms_topn])
    scores, order = graph.op("TopK", scores, best if graph.any_size else [best], axis=1, outputs=2)
    order = graph.op("Expand", graph.op("Unsqueeze", order, [2]), [1, 1, 4])
    boxes = graph.op("GatherElements", boxes, order, axis=1)
    # With the pixel of the second corner in the box, areas are those of Caffe. Equal scores keep their order.
    inclusive = graph.op("Add", boxes, np.array([0.0, 0, 1, 1]))
    images = graph.sizes(scores, 0, 1)
    if graph.any_size:
        ranks = graph.op("Range", graph.op("Squeeze", best, [0]), graph.constant(0), graph.constant(-1))
        ranks = graph.op("Reshape", graph.cast(ranks), [1, 1, -1])
    else:
        ranks = np.arange(best, 0, -1, dtype=np.float32).reshape(1, 1, best)
    ranks = graph.op("Expand", ranks, graph.op("Concat", images, [1, 1], axis=0))
    selected = graph.op("NonMaxSuppression", inclusive, ranks, [layer.post_nms_topn], [float(layer.nms_thresh)])
    image, _, rank = graph.op("Split", selected, [1, 1, 1], axis=1, outputs=3)
    index = graph.op("Squeeze", graph.op("Add", graph.op("Mul", image, best), rank), [1])
    kept = graph.op("Gather", graph.op("Reshape", boxes, [-1, 4]), index, axis=0)
    for top in range(len(graph.tops)):
        graph.varies(top)
    regions = graph.op("Concat", graph.cast(image), kept, axis=1)
    if len(graph.tops) == 1:
        return regions
    return [regions, graph.op("Gather", graph.op("Reshape", scores, [-1]), index, axis=0)]


def _shifts(graph: Graph, maps: Any, stride: int) -> Any:
    """Where the places of a map are in the image, x before y: (H W, 1, 2)."""
    if not graph.any_size:
        rows, columns = maps.shape[2:]
        y, x = np.meshgrid(np.arange(rows), np.arange(columns), indexing="ij")
        return stride * np.stack([x, y], axis=-1).reshape(-1, 1, 2).astype(np.float32)
    places = []
    for size, shape in zip(_size(graph, maps), ([-1, 1, 1], [1, -1, 1]), strict=True):
        steps = graph.op("Range", graph.constant(0), graph.op("Squeeze", size, [0]), graph.constant(1))
        places.append(graph.op("Reshape", graph.op("Mul", graph.cast(steps), float(stride)), shape))
    y, x = places
    grid = graph.op(
        "Concat", graph.op("Add", graph.op("Mul", y, 0.0), x), graph.op("Add", graph.op("Mul", x, 0.0), y), axis=2
    )
    return graph.op("Reshape", grid, [-1, 1, 2])


def _info_count(shape: tuple[int, ...], images: int) -> int:
    """How many numbers there are of an image: its height, its width, and one scale or two."""
    count = int(np.prod(shape))
    return count if count <= 4 else count // images
