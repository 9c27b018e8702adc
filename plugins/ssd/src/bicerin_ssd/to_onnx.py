"""What the layers are in ONNX, for bicerin-onnx."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bicerin_ssd.unit_channels import EPS

if TYPE_CHECKING:
    from bicerin.layer.onnx_graph import Graph


def permute(graph: Graph, layer: Any) -> Any:
    return graph.op("Transpose", graph.bottoms[0], perm=list(layer.order))


def normalize(graph: Graph, layer: Any) -> Any:
    (x,) = graph.bottoms
    if layer._happynears is not None:
        return _unit_channels(graph, layer)
    axes = list(range(1, len(x.shape))) if len(layer.axes) > 1 else [1]
    squares = graph.reduce("Sum", graph.op("Mul", x, x), axes)
    y = graph.op("Div", x, graph.op("Sqrt", graph.op("Add", squares, float(layer.eps))))
    scale = layer.blobs[0]
    shape = [scale.count, *[1] * (len(x.shape) - 2)] if scale.num_axes else []
    return graph.op("Mul", y, graph.blob(0, shape))


def _unit_channels(graph: Graph, layer: Any) -> Any:
    (x,) = graph.bottoms
    if len(x.shape) < 4:
        x = graph.op("Reshape", x, [0] * len(x.shape) + [1] * (4 - len(x.shape)))
    if layer._happynears.first_power:
        norm = graph.op("Add", graph.reduce("Sum", graph.op("Abs", x), [1]), EPS)
    else:
        norm = graph.op("Sqrt", graph.op("Add", graph.reduce("Sum", graph.op("Mul", x, x), [1]), EPS))
    return [graph.op("Div", x, norm), norm][: len(graph.tops)]


def prior_box(graph: Graph, layer: Any) -> Any:
    """It depends on sizes alone."""
    cells, image = graph.bottoms[0].shape[2:], layer.image_size or graph.bottoms[1].shape[2:]
    return graph.constant(layer._boxes(np, cells, image))


def detection_output(graph: Graph, layer: Any) -> Any:
    """Decode, take the `top_k` best of each class, suppress, keep the `keep_top_k` best of each image."""
    if layer.objectness is not None:
        graph.refuse("the first stage of RefineDet is not known here.")
    if layer.eta < 1:
        graph.refuse(
            "nms_param { eta } below 1 has no counterpart in ONNX, whose threshold of overlaps does not change."
        )
    if layer.files is not None:
        graph.refuse("save_output_param: a model writes no files. Remove it.")
    classes = [label for label in range(layer.num_classes) if label != layer.background]
    number, priors = len(classes), layer.priors
    most = min(layer.limit, priors)
    if not number or not most:
        graph.refuse("there is no class but the background, or there are no prior boxes.")
    scores = graph.op("Reshape", graph.bottoms[1], [0, priors, layer.num_classes])
    scores = graph.op("Transpose", scores, perm=[0, 2, 1])
    if number < layer.num_classes:
        scores = graph.op("Gather", scores, classes, axis=1)
    scores, places = graph.op("TopK", scores, [most], axis=2, outputs=2)
    images = graph.sizes(scores, 0, 1)
    image = graph.op("Range", graph.constant(0), graph.op("Squeeze", images, [0]), graph.constant(1))
    # The boxes of those places, (N * number, most, 4).
    flat = graph.op("Add", graph.op("Mul", graph.op("Reshape", image, [-1, 1, 1]), priors), places)
    if layer.loc_classes > 1:
        flat = graph.op("Add", graph.op("Mul", flat, layer.loc_classes), np.reshape(classes, (1, -1, 1)))
    boxes = graph.op("Reshape", _decoded(graph, layer), [-1, 4])
    boxes = graph.op("Reshape", graph.op("Gather", boxes, flat, axis=0), [-1, most, 4])
    # A box whose end lies before its start overlaps nothing: here it has no area.
    start, end = graph.op("Split", boxes, [2, 2], axis=2, outputs=2)
    ordered = graph.op("Concat", start, graph.op("Max", start, end), axis=2)
    lowest = float(np.finfo(np.float32).min)
    selected = graph.op(
        "NonMaxSuppression",
        ordered,
        graph.op("Reshape", scores, [-1, 1, most]),
        [most],
        [min(float(layer.nms_threshold), 1.0)],
        [float(layer.score_threshold)] if layer.score_threshold > lowest else None,
    )
    # Those that stay, among (N, number * most) places: by label, and then by score.
    group, _, rank = graph.op("Split", selected, [1, 1, 1], axis=1, outputs=3)
    place = graph.op("Concat", graph.op("Div", group, number), graph.op("Mod", group, number), rank, axis=1)
    nowhere = graph.op("ConstantOfShape", graph.op("Shape", scores), value=np.array([0], np.float32))
    ones = graph.op("Expand", graph.constant([1.0]), graph.sizes(selected, 0, 1))
    stays = graph.op("Reshape", graph.op("ScatterND", nowhere, place, ones), [0, -1])
    flat_scores = graph.op("Reshape", scores, [0, -1])
    if -1 < layer.keep_top_k < number * most:
        left = graph.op("Where", graph.cast(stays, "bool"), flat_scores, graph.constant(-np.inf))
        _, best = graph.op("TopK", left, [layer.keep_top_k], axis=1, outputs=2)
        kept = graph.op("GatherElements", stays, best, axis=1)
        stays = graph.op("ScatterElements", graph.op("Sub", stays, stays), best, kept, axis=1)
    found = graph.op("Transpose", graph.op("NonZero", stays), perm=[1, 0])
    image, rank = graph.op("Split", found, [1, 1], axis=1, outputs=2)
    labels = graph.op("Gather", np.array(classes, np.float32), graph.op("Div", rank, most), axis=0)
    score = graph.op("Unsqueeze", graph.op("GatherND", flat_scores, found), [1])
    index = graph.op("Add", graph.op("Mul", image, number * most), rank)
    corners = graph.op("Gather", graph.op("Reshape", boxes, [-1, 4]), graph.op("Squeeze", index, [1]), axis=0)
    rows = graph.op("Concat", graph.cast(image), labels, score, corners, axis=1)
    rows = _or_nothing_found(graph, rows, images)
    graph.varies(axis=2)
    return graph.op("Unsqueeze", rows, [0, 1])


def _or_nothing_found(graph: Graph, rows: Any, images: Any) -> Any:
    """Where there are no rows, one for each image: its number and -1 six times."""
    number = graph.sizes(rows, 0, 1)
    image = graph.op("Range", graph.constant(0), graph.op("Squeeze", images, [0]), graph.constant(1))
    image = graph.cast(graph.op("Unsqueeze", image, [1]))
    nothing = graph.op("Mul", image, np.array([[1.0, 0, 0, 0, 0, 0, 0]]))
    nothing = graph.op("Add", nothing, np.array([[0.0, -1, -1, -1, -1, -1, -1]]))
    end = graph.op("Where", graph.op("Equal", number, [0]), images, number)
    return graph.op("Slice", graph.op("Concat", rows, nothing, axis=0), [0], end, [0])


def _decoded(graph: Graph, layer: Any) -> Any:
    """The predicted boxes, (N, P, L, 4)."""
    shape = [layer.priors, 1, 4]
    both = graph.op("Reshape", graph.bottoms[2], [2, *shape])
    priors = graph.op("Reshape", graph.op("Gather", both, [0], axis=0), shape)
    offsets = graph.op("Reshape", graph.bottoms[0], [0, layer.priors, layer.loc_classes, 4])
    if not layer.variance_in_target:
        variances = graph.op("Reshape", graph.op("Gather", both, [1], axis=0), shape)
        offsets = graph.op("Mul", variances, offsets)
    if layer.code == "CORNER":
        return graph.op("Add", priors, offsets)
    start, end = graph.op("Split", priors, [2, 2], axis=2, outputs=2)
    extent = graph.op("Sub", end, start)
    if layer.code == "CORNER_SIZE":
        return graph.op("Add", priors, graph.op("Mul", offsets, graph.op("Concat", extent, extent, axis=2)))
    moved, grown = graph.op("Split", offsets, [2, 2], axis=3, outputs=2)
    middle = graph.op("Div", graph.op("Add", start, end), 2.0)
    center = graph.op("Add", graph.op("Mul", moved, extent), middle)
    half = graph.op("Div", graph.op("Mul", graph.op("Exp", grown), extent), 2.0)
    return graph.op("Concat", graph.op("Sub", center, half), graph.op("Add", center, half), axis=3)


def detection_evaluate(graph: Graph, layer: Any) -> None:
    """Left out, as Accuracy is."""
    if graph.keeps_losses:
        graph.refuse("which boxes are right, of the labels' in turn, is not exported: leave out keep_losses.")
