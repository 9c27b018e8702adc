"""What the layers are in ONNX, for bicerin-onnx."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from bicerin.layer.onnx_graph import Graph


def reorg(graph: Graph, layer: Any) -> Any:
    (x,) = graph.bottoms
    if layer.reverse:
        shape, order = layer.maps, [0, 3, 4, 1, 5, 2]
    else:
        shape, order = layer.pixels, [0, 3, 5, 1, 2, 4]
    moved = graph.op("Transpose", graph.op("Reshape", x, [0, *shape[1:]]), perm=order)
    return graph.op("Reshape", moved, [0, *graph.tops[0][1:]])


def yolo_detection_output(graph: Graph, layer: Any) -> Any:
    """The best class of each box; a score may be equal to the threshold."""
    maps = [_decoded(graph, layer, index) for index in range(len(graph.bottoms))]
    found = []
    for boxes, objectness, classes in maps:
        probability = graph.op("Softmax", classes, axis=2)
        score = graph.op("Mul", objectness, graph.reduce("Max", probability, [2], keepdims=False))
        label = graph.op("ArgMax", classes, axis=2, keepdims=0)
        found.append((boxes, score, graph.op("Add", graph.cast(label), 1.0)))
    least = float(np.nextafter(np.float32(layer.confidence_threshold), np.float32(-np.inf)))
    return _listed(graph, layer, found, least)


def yolov3_detection_output(graph: Graph, layer: Any) -> Any:
    """A box for each class."""
    found = []
    for index in range(len(graph.bottoms)):
        boxes, objectness, classes = _decoded(graph, layer, index)
        places, count = _places(layer, graph, index) // layer.num_classes, layer.num_classes
        score = graph.op("Mul", graph.op("Unsqueeze", objectness, [2]), graph.op("Sigmoid", classes))
        score = graph.op("Reshape", score, [0, places * count])
        boxes = graph.op("Unsqueeze", boxes, [2])
        boxes = graph.op("Reshape", graph.op("Expand", boxes, [1, 1, count, 1]), [0, places * count, 4])
        labels = np.tile(np.arange(1, count + 1, dtype=np.float32), places)[None]
        found.append((boxes, score, graph.op("Add", graph.op("Sub", score, score), labels)))
    return _listed(graph, layer, found, float(np.float32(layer.confidence_threshold)))


def _decoded(graph: Graph, layer: Any, index: int) -> tuple[Any, Any, Any]:
    """Corners `(N, P, 4)`, objectness `(N, P)` and classes `(N, P, K)` of a map, by anchor, row and column."""
    x = graph.bottoms[index]
    height, width = x.shape[2:]
    anchors = np.array(layer.anchors[index].blob.read_only.data, np.float64)
    count, numbers = len(anchors), layer.first_class + layer.num_classes
    places = count * height * width
    if not places:
        graph.refuse("a map has no places.")
    x = graph.op("Reshape", x, [0, count, numbers, height * width])
    x = graph.op("Reshape", graph.op("Transpose", x, perm=[0, 1, 3, 2]), [0, places, numbers])
    *numbers_of_box, objectness, classes = graph.op(
        "Split", x, [1] * layer.first_class + [layer.num_classes], axis=2, outputs=layer.first_class + 1
    )
    step = len(numbers_of_box) // 4
    across, down, wide, high = numbers_of_box[::step]
    moved, grown = graph.op("Concat", across, down, axis=2), graph.op("Concat", wide, high, axis=2)
    _, row, column = (axis.reshape(-1) for axis in np.indices((count, height, width)))
    cells, size = np.stack([column, row], axis=-1)[None], np.array([width, height])
    middle = graph.op("Div", graph.op("Add", graph.op("Sigmoid", moved), cells.astype(float)), size.astype(float))
    reach = np.repeat(anchors / size / 2, height * width, axis=0)[None]
    half = graph.op("Mul", graph.op("Exp", grown), reach)
    boxes = graph.op("Concat", graph.op("Sub", middle, half), graph.op("Add", middle, half), axis=2)
    sure = graph.op("Sigmoid", objectness)
    if step == 2:
        deviation = graph.op("Sigmoid", graph.op("Concat", *numbers_of_box[1::2], axis=2))
        sure = graph.op("Mul", sure, graph.op("Sub", 1.0, graph.reduce("Mean", deviation, [2], keepdims=True)))
    return boxes, graph.op("Squeeze", sure, [2]), classes


def _listed(graph: Graph, layer: Any, found: list[tuple[Any, Any, Any]], least: float) -> Any:
    """Rows of image, label, score and corners of those that stay, image after image."""
    boxes, scores, labels = (
        graph.op("Concat", *values, axis=1) if len(values) > 1 else values[0] for values in zip(*found, strict=True)
    )
    places = sum(_places(layer, graph, index) for index in range(len(found)))
    # What ONNX drops overlaps by more than the threshold.
    threshold = float(np.nextafter(np.float32(layer.nms_threshold), np.float32(-np.inf)))
    if not 0 <= threshold <= 1:
        graph.refuse(f"nms_threshold must be greater than 0 and at most 1, not {layer.nms_threshold:g}.")
    selected = graph.op("NonMaxSuppression", boxes, graph.op("Unsqueeze", scores, [1]), [places], [threshold], [least])
    image, _, place = graph.op("Split", selected, [1, 1, 1], axis=1, outputs=3)
    index = graph.op("Squeeze", graph.op("Add", graph.op("Mul", image, places), place), [1])
    chosen = [
        graph.op("Gather", graph.op("Reshape", values, [-1, columns]), index, axis=0)
        for values, columns in ((labels, 1), (scores, 1), (boxes, 4))
    ]
    rows = graph.op("Concat", graph.cast(image), *chosen, axis=1)
    # Where there are none, one for each image: its number and -1 six times.
    images, number = graph.sizes(scores, 0, 1), graph.sizes(rows, 0, 1)
    numbers = graph.op("Range", graph.constant(0), graph.op("Squeeze", images, [0]), graph.constant(1))
    nothing = graph.op("Mul", graph.cast(graph.op("Unsqueeze", numbers, [1])), np.array([[1.0, 0, 0, 0, 0, 0, 0]]))
    nothing = graph.op("Add", nothing, np.array([[0.0, -1, -1, -1, -1, -1, -1]]))
    end = graph.op("Where", graph.op("Equal", number, [0]), images, number)
    graph.varies(axis=2)
    rows = graph.op("Slice", graph.op("Concat", rows, nothing, axis=0), [0], end, [0])
    return graph.op("Unsqueeze", rows, [0, 1])


def _places(layer: Any, graph: Graph, index: int) -> int:
    """The boxes that a map gives."""
    height, width = graph.bottoms[index].shape[2:]
    classes = layer.num_classes if layer.type == "Yolov3DetectionOutput" else 1
    return int(layer.anchors[index].shape[0] * height * width * classes)


def eval_detection(graph: Graph, layer: Any) -> None:
    """Left out, as Accuracy is."""
    if graph.keeps_losses:
        graph.refuse("which boxes are right, of the labels' in turn, is not exported: leave out keep_losses.")
