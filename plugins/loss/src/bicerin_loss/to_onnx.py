"""What the layers are in ONNX, for bicerin-onnx. Losses and Accuracy are there only where a model is to keep them."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from bicerin_loss.multiclass_cross_entropy_loss import LEAST
from bicerin_loss.multinomial_logistic_loss import LOG_THRESHOLD
from bicerin_loss.softmax_with_loss import FLT_MIN
from bicerin_loss.weighted_softmax_with_loss import NOTHING

if TYPE_CHECKING:
    from bicerin.layer.onnx_graph import Graph


def softmax(graph: Graph, layer: Any) -> Any:
    axes = len(graph.tops[0])
    x = graph.bottoms[0]
    if layer.temperature != 1:
        x = graph.op("Mul", x, 1 / layer.temperature)
    return graph.op("Softmax", x, axis=layer.param.softmax_param.axis % axes)


def accuracy(graph: Graph, layer: Any) -> Any:
    if not graph.keeps_losses:
        return None
    scores = _columns(graph, layer.param.accuracy_param.axis)
    labels, valid = _labels(graph, layer.ignore_label, scores.inner)
    if layer.least_is_best:
        scores.value = graph.op("Neg", scores.value)
    chosen = graph.op("GatherElements", scores.value, graph.op("Unsqueeze", labels, [1]), axis=1)
    # The label's own class is among those that score as much.
    as_much = graph.cast(graph.op("GreaterOrEqual", scores.value, chosen))
    rivals = graph.reduce("Sum", as_much, [1], keepdims=False)
    right = graph.op("And", graph.op("LessOrEqual", rivals, float(layer.top_k)), graph.op("Greater", rivals, 0.0))
    right = graph.cast(graph.op("And", right, valid))
    counted = graph.cast(valid)
    share = graph.op("Div", _sum(graph, right), graph.op("Max", _sum(graph, counted), 1.0))
    if len(graph.tops) == 1:
        return share
    classes = np.arange(scores.classes).reshape(1, -1, 1)
    own = graph.cast(graph.op("Equal", graph.op("Unsqueeze", labels, [1]), classes))
    own = graph.op("Mul", own, graph.op("Unsqueeze", counted, [1]))
    hits = graph.reduce("Sum", graph.op("Mul", own, graph.op("Unsqueeze", right, [1])), [0, 2], keepdims=False)
    seen = graph.reduce("Sum", own, [0, 2], keepdims=False)
    return [share, graph.op("Div", hits, graph.op("Max", seen, 1.0))]


def softmax_with_loss(graph: Graph, layer: Any) -> Any:
    scores = _columns(graph, layer.class_axis)
    probability = graph.op("Softmax", scores.value, axis=1)
    labels, valid = _labels(graph, layer.ignore_label, scores.inner)
    chosen = graph.op("GatherElements", probability, graph.op("Unsqueeze", labels, [1]), axis=1)
    losses = graph.op("Neg", graph.op("Log", graph.op("Max", graph.op("Squeeze", chosen, [1]), FLT_MIN)))
    of_labels = graph.op("Where", valid, losses, 0.0)
    weights = None
    if len(graph.bottoms) > 2:
        weights = graph.op("Reshape", graph.bottoms[2], [-1, scores.inner])
        if layer.class_weight is not None:
            weights = graph.op("Mul", weights, _of_classes(graph, layer.class_weight, labels))
        losses = graph.op("Mul", losses, weights)
    if layer.class_weighting is not None:
        losses = graph.op("Mul", losses, _of_classes(graph, layer.class_weighting, labels))
    tops = _divided(graph, layer, losses, valid, scores.inner, probability, weights)
    if len(graph.tops) > 2:
        tops.append(graph.op("Reshape", of_labels, graph.op("Shape", graph.bottoms[1])))
    return tops


def weighted_softmax_with_loss(graph: Graph, layer: Any) -> Any:
    scores = _columns(graph, layer.class_axis)
    labels, valid = _labels(graph, layer.ignore_label, scores.inner)
    probability = graph.op("Softmax", scores.value, axis=1)
    chosen = graph.op("GatherElements", probability, graph.op("Unsqueeze", labels, [1]), axis=1)
    losses = graph.op("Neg", graph.op("Log", graph.op("Max", graph.op("Squeeze", chosen, [1]), FLT_MIN)))
    weights = graph.op("Reshape", graph.bottoms[2], [-1, 1])
    losses = graph.op("Mul", losses, weights)
    if layer.class_weighting is not None:
        losses = graph.op("Mul", losses, _of_classes(graph, layer.class_weighting, labels))
    counts = graph.cast(graph.op("Greater", graph.op("Mul", graph.cast(valid), weights), NOTHING))
    return _divided(graph, layer, losses, valid, scores.inner, probability, counts)


def _of_classes(graph: Graph, weights: Any, labels: Any) -> Any:
    return graph.op("Gather", np.asarray(weights, np.float32), labels, axis=0)


def infogain_loss(graph: Graph, layer: Any) -> Any:
    scores = _columns(graph, layer.class_axis)
    probability = graph.op("Softmax", scores.value, axis=1)
    labels, valid = _labels(graph, layer.ignore_label, scores.inner)
    shape = [scores.classes, scores.classes]
    if layer.infogain is None:
        matrix = graph.op("Reshape", graph.bottoms[2], shape)
    else:
        matrix = graph.constant(np.array(layer.infogain.blob.read_only.data, np.float32).reshape(shape))
    rows = graph.op("Transpose", graph.op("Gather", matrix, labels, axis=0), perm=[0, 2, 1])
    logarithms = graph.op("Log", graph.op("Max", probability, LOG_THRESHOLD))
    losses = graph.op("Neg", graph.reduce("Sum", graph.op("Mul", rows, logarithms), [1], keepdims=False))
    return _divided(graph, layer, losses, valid, scores.inner, probability)


def multinomial_logistic_loss(graph: Graph, layer: Any) -> Any:
    x = graph.op("Flatten", graph.bottoms[0], axis=1)
    labels = graph.cast(graph.op("Reshape", graph.bottoms[1], [-1, 1]), "int64")
    chosen = graph.op("Max", graph.op("GatherElements", x, labels, axis=1), LOG_THRESHOLD)
    return _per_image(graph, graph.op("Neg", graph.op("Log", chosen)))


def multiclass_cross_entropy_loss(graph: Graph, layer: Any) -> Any:
    p, target = (graph.op("Flatten", bottom, axis=1) for bottom in graph.bottoms)
    has = graph.op("Mul", target, graph.op("Log", graph.op("Max", p, LEAST)))
    rest = graph.op("Log", graph.op("Max", graph.op("Sub", 1.0, p), LEAST))
    lacks = graph.op("Mul", graph.op("Sub", 1.0, target), rest)
    return _per_image(graph, graph.op("Neg", graph.op("Add", has, lacks)))


def hinge_loss(graph: Graph, layer: Any) -> Any:
    x = graph.op("Flatten", graph.bottoms[0], axis=1)
    labels = graph.cast(graph.op("Reshape", graph.bottoms[1], [-1, 1]), "int64")
    own = graph.op("Equal", labels, np.arange(prod(graph.bottoms[0].shape[1:])).reshape(1, -1))
    signed = graph.op("Where", own, graph.op("Neg", x), x)
    margin = graph.op("Max", graph.op("Add", signed, 1.0), 0.0)
    return _per_image(graph, graph.op("Mul", margin, margin) if layer.squared else margin)


def euclidean_loss(graph: Graph, layer: Any) -> Any:
    a, b = (graph.op("Flatten", bottom, axis=1) for bottom in graph.bottoms)
    difference = graph.op("Sub", a, b)
    return _per_image(graph, graph.op("Mul", graph.op("Mul", difference, difference), 0.5))


def contrastive_loss(graph: Graph, layer: Any) -> Any:
    a, b = (graph.op("Flatten", bottom, axis=1) for bottom in graph.bottoms[:2])
    similar = graph.op("Reshape", graph.bottoms[2], [-1, 1])
    similar = graph.op("GreaterOrEqual", graph.op("Abs", similar), 1.0)
    difference = graph.op("Sub", a, b)
    squared = graph.reduce("Sum", graph.op("Mul", difference, difference), [1])
    distance = squared if layer.legacy else graph.op("Sqrt", squared)
    cost = graph.op("Max", graph.op("Sub", float(layer.margin), distance), 0.0)
    if not layer.legacy:
        cost = graph.op("Mul", cost, cost)
    return _per_image(graph, graph.op("Mul", graph.op("Where", similar, squared, cost), 0.5))


def sigmoid_cross_entropy_loss(graph: Graph, layer: Any) -> Any:
    # By images and the rest, as the loss is divided.
    shape = [-1, prod(graph.bottoms[0].shape[1:])]
    x, target, *weights = (graph.op("Reshape", bottom, shape) for bottom in graph.bottoms)
    losses = _sigmoid_losses(graph, x, target)
    valid = _valid(graph, graph.cast(target, "int64"), layer.ignore_label)
    if weights:
        total = _sum(graph, graph.op("Where", valid, weights[0], 0.0))
        loss = _sum(graph, graph.op("Where", valid, graph.op("Mul", losses, weights[0]), 0.0))
        return graph.op("Where", graph.op("Greater", total, 0.0), graph.op("Div", loss, total), 0.0)
    return _divided(graph, layer, losses, valid, shape[1], None)


def multi_label_sigmoid_loss(graph: Graph, layer: Any) -> Any:
    x, target = graph.bottoms
    known = graph.op("GreaterOrEqual", graph.op("Reshape", target, graph.op("Shape", x)), 0.0)
    losses = _sigmoid_losses(graph, x, graph.op("Reshape", target, graph.op("Shape", x)))
    total = _sum(graph, graph.op("Where", known, losses, 0.0))
    return graph.op("Div", total, graph.op("Max", _sum(graph, graph.cast(known)), 1.0))


def multi_label_accuracy(graph: Graph, layer: Any) -> Any:
    if not graph.keeps_losses:
        return None
    score, target = (graph.op("Reshape", bottom, [-1]) for bottom in graph.bottoms)
    said = graph.op("GreaterOrEqual", score, 0.0)
    has = graph.op("GreaterOrEqual", target, 0.5)
    lacks = graph.op("And", graph.op("GreaterOrEqual", target, 0.0), graph.op("Not", has))

    def number(value: Any) -> Any:
        return _sum(graph, graph.cast(value))

    def share(part: Any, whole: Any) -> Any:
        return graph.op("Div", part, graph.op("Max", whole, 1.0))

    def harmonic_mean(a: Any, b: Any) -> Any:
        total = graph.op("Max", graph.op("Add", a, b), FLT_MIN)
        return graph.op("Div", graph.op("Mul", graph.op("Mul", a, b), 2.0), total)

    right, wrong = number(graph.op("And", said, has)), number(graph.op("And", said, lacks))
    sensitivity = share(right, number(has))
    specificity = share(number(graph.op("And", lacks, graph.op("Not", said))), number(lacks))
    precision = share(right, graph.op("Add", right, wrong))
    values = (
        sensitivity,
        specificity,
        harmonic_mean(sensitivity, specificity),
        precision,
        harmonic_mean(precision, sensitivity),
    )
    return graph.op("Concat", *(graph.op("Reshape", value, [1, 1, 1, 1]) for value in values), axis=1)


def _sigmoid_losses(graph: Graph, x: Any, target: Any) -> Any:
    positive = graph.cast(graph.op("GreaterOrEqual", x, 0.0))
    losses = graph.op("Mul", x, graph.op("Sub", positive, target))
    return graph.op("Add", losses, graph.op("Softplus", graph.op("Neg", graph.op("Abs", x))))


class _Columns:
    """Scores as (outer, classes, inner)."""

    def __init__(self, value: Any, classes: int, inner: int) -> None:
        self.value = value
        self.classes = classes
        self.inner = inner


def _columns(graph: Graph, axis: int) -> _Columns:
    x = graph.bottoms[0]
    axis %= len(x.shape)
    classes, inner = x.shape[axis], prod(x.shape[axis + 1 :])
    return _Columns(graph.op("Reshape", x, [-1 if axis else 1, classes, inner]), classes, inner)


def _labels(graph: Graph, ignored: int | None, inner: int) -> tuple[Any, Any]:
    """The labels, (outer, inner), 0 where they are ignored; and where they are not."""
    labels = graph.cast(graph.op("Reshape", graph.bottoms[1], [-1, inner]), "int64")
    valid = _valid(graph, labels, ignored)
    return (labels if ignored is None else graph.op("Where", valid, labels, graph.constant(0))), valid


def _valid(graph: Graph, labels: Any, ignored: int | None) -> Any:
    if ignored is None:
        return graph.op("Equal", labels, labels)
    return graph.op("Not", graph.op("Equal", labels, graph.constant(ignored)))


def _divided(
    graph: Graph, layer: Any, losses: Any, valid: Any, inner: int, probability: Any, weights: Any = None
) -> Any:
    """The sum of the losses that count, divided as `normalization` says; and the softmax, where it is a top."""
    total = _sum(graph, graph.op("Where", valid, losses, 0.0))
    if layer.normalization == "VALID" and weights is not None:
        divisor = _sum(graph, graph.op("Where", valid, weights, 0.0))
    elif layer.normalization == "VALID":
        divisor = _sum(graph, graph.cast(valid))
    elif layer.normalization == "NONE":
        divisor = graph.constant(1.0)
    else:
        divisor = graph.cast(graph.op("Size", losses))
        if layer.normalization == "BATCH_SIZE":
            divisor = graph.op("Div", divisor, float(max(inner, 1)))
    loss = graph.op("Div", total, graph.op("Max", divisor, 1.0))
    if len(graph.tops) == 1:
        return loss
    return [loss, graph.op("Reshape", probability, graph.op("Shape", graph.bottoms[0]))]


def _per_image(graph: Graph, losses: Any) -> Any:
    """The sum over the number of images, which the first axis has."""
    images = graph.op("Squeeze", graph.sizes(losses, 0, 1), [0])
    return graph.op("Div", _sum(graph, losses), graph.op("Max", graph.cast(images), 1.0))


def _sum(graph: Graph, value: Any) -> Any:
    return graph.op("ReduceSum", value, keepdims=0)
