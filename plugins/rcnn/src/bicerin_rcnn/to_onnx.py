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
        height, width = (float(size) for size in maps.shape[2:])
        regions, scale = graph.op("Mul", regions, np.array([[1, width, height, width, height]])), 1.0
    shape = [layer.pooled_h, layer.pooled_w]
    return graph.op("MaxRoiPool", maps, regions, pooled_shape=shape, spatial_scale=scale)


def psroi_pooling(graph: Graph, layer: Any) -> Any:
    """Sums over bins from sums over everything above and to the left, in double precision."""
    maps, regions = graph.bottoms
    _, _, height, width = maps.shape
    group, outputs = layer.group_size, layer.output_dim
    total = graph.cast(maps, "float64")
    for axis in (2, 3):
        total = graph.op("CumSum", total, graph.constant(axis))
    total = graph.op("Pad", total, [0, 0, 1, 1, 0, 0, 0, 0])
    # One row of `outputs` values for each image, bin and pixel.
    pixels = (height + 1) * (width + 1)
    total = graph.op("Reshape", total, [0, outputs, group * group, pixels])
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
        place = graph.op("Add", graph.op("Mul", row, width + 1), column)
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


def _bins(graph: Graph, start: Any, stop: Any, scale: float, pooled: int, size: int) -> list[Any]:
    """The first pixel of each bin along one axis and the one after its last, (R, pooled) each; as `scaled_bins`."""
    first = graph.op("Mul", _rounded(graph, start), float(scale))
    end = graph.op("Mul", graph.op("Add", _rounded(graph, stop), 1.0), float(scale))
    length = graph.op("Max", graph.op("Sub", end, first), 0.1)
    step = graph.op("Div", length, float(pooled))
    edges = []
    for operator, places in (("Floor", np.arange(pooled)), ("Ceil", np.arange(1, pooled + 1))):
        edge = graph.op("Add", graph.op("Mul", places.astype(np.float32)[None], step), first)
        edge = graph.op("Clip", graph.op(operator, edge), 0.0, float(size))
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
    return graph.op("Div", graph.op("ReduceSum", errors, keepdims=0), graph.op("Max", graph.cast(images), 1.0))


def proposal(graph: Graph, layer: Any) -> Any:
    """Boxes from anchors and deltas, the best of them, and those of these that do not overlap."""
    scores, deltas, info = graph.bottoms
    count = layer.anchors.shape[0]
    rows, columns = scores.shape[2:]
    places = rows * columns * count
    if not places:
        graph.refuse("the map has no places.")
    scores = graph.op("Slice", scores, [count], [2 * count], [1])
    scores = graph.op("Reshape", graph.op("Transpose", scores, perm=[0, 2, 3, 1]), [0, places])
    deltas = graph.op("Reshape", deltas, [0, count, 4, rows * columns])
    deltas = graph.op("Reshape", graph.op("Transpose", deltas, perm=[0, 3, 1, 2]), [0, places, 4])
    moved, grown = graph.op("Split", deltas, [2, 2], axis=2, outputs=2)

    y, x = np.meshgrid(np.arange(rows), np.arange(columns), indexing="ij")
    shift = np.stack([x, y, x, y], axis=-1)[:, :, None] * layer.feat_stride
    anchors = (shift + np.array(layer.anchors.blob.read_only.data, np.float64)).reshape(1, places, 4)
    extent = anchors[..., 2:] - anchors[..., :2] + 1
    middle = graph.op("Add", anchors[..., :2] + extent / 2, graph.op("Mul", moved, extent))
    reach = graph.op("Mul", graph.op("Exp", grown), extent / 2)

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

    best = min(layer.pre_nms_topn, places)
    scores, order = graph.op("TopK", scores, [best], axis=1, outputs=2)
    order = graph.op("Expand", graph.op("Unsqueeze", order, [2]), [1, 1, 4])
    boxes = graph.op("GatherElements", boxes, order, axis=1)
    # With the pixel of the second corner in the box, areas are those of Caffe. Equal scores keep their order.
    inclusive = graph.op("Add", boxes, np.array([0.0, 0, 1, 1]))
    images = graph.sizes(scores, 0, 1)
    ranks = np.arange(best, 0, -1, dtype=np.float32).reshape(1, 1, best)
    ranks = graph.op("Expand", ranks, graph.op("Concat", images, [1, 1], axis=0))
    selected = graph.op(
        "NonMaxSuppression", inclusive, ranks, [min(best, layer.post_nms_topn)], [float(layer.nms_thresh)]
    )
    image, _, rank = graph.op("Split", selected, [1, 1, 1], axis=1, outputs=3)
    index = graph.op("Squeeze", graph.op("Add", graph.op("Mul", image, best), rank), [1])
    kept = graph.op("Gather", graph.op("Reshape", boxes, [-1, 4]), index, axis=0)
    for top in range(len(graph.tops)):
        graph.varies(top)
    regions = graph.op("Concat", graph.cast(image), kept, axis=1)
    if len(graph.tops) == 1:
        return regions
    return [regions, graph.op("Gather", graph.op("Reshape", scores, [-1]), index, axis=0)]


def _info_count(shape: tuple[int, ...], images: int) -> int:
    """How many numbers there are of an image: its height, its width, and one scale or two."""
    count = int(np.prod(shape))
    return count if count <= 4 else count // images
