"""What the layers are in ONNX, for bicerin-onnx."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from bicerin.layer.onnx_graph import Graph


def transpose(graph: Graph, layer: Any) -> Any:
    return graph.op("Transpose", graph.bottoms[0], perm=list(layer.order))


def reverse(graph: Graph, layer: Any) -> Any:
    end = -(2**31)  # before the first
    return graph.op("Slice", graph.bottoms[0], [-1], [end], [layer.axis], [-1])


def continuation_indicator(graph: Graph, layer: Any) -> Any:
    column = np.ones((layer.steps, 1), np.float32)
    column[:1] = 0
    if not graph.bottoms:
        return graph.constant(np.repeat(column, graph.tops[0][1], axis=1))
    axis = layer.param.continuation_indicator_param.axis % len(graph.bottoms[0].shape)
    number = graph.sizes(graph.bottoms[0], axis, axis + 1)
    return graph.op("Expand", column, graph.op("Concat", [1], number, axis=0))


def lstm(graph: Graph, layer: Any) -> Any:
    """ONNX's own LSTM, whose gates have another order, or step by step where there are markers."""
    x = graph.op("Reshape", graph.bottoms[0], [0, 0, layer.features])
    weights, recurrent, bias = (graph.weights(index) for index in range(3))
    if len(graph.bottoms) == 1:
        order = [0, 2, 1, 3]  # input, output, forget, candidate
        weights, recurrent = (_gates(one, order)[None] for one in (weights, recurrent))
        bias = np.concatenate([_gates(bias, order), np.zeros_like(bias)])[None]
        y, _, _ = graph.op("LSTM", x, weights, recurrent, bias, hidden_size=layer.num_output, outputs=3)
        return graph.op("Squeeze", y, [1])
    inputs = graph.op("Add", graph.op("MatMul", x, weights.T), bias)
    marked = graph.op("Cast", graph.bottoms[1], to=9)  # whether it is not 0
    markers = graph.op("Unsqueeze", graph.cast(marked), [2])
    h, c = (graph.before(blob) for blob in layer.hidden)
    recurrent = graph.constant(recurrent.T)  # one for all steps
    outputs = []
    for own, marker in zip(_steps(graph, inputs, layer.steps), _steps(graph, markers, layer.steps), strict=True):
        gates = graph.op("Add", own, graph.op("MatMul", graph.op("Mul", h, marker), recurrent))
        i, f, o, g = graph.op("Split", gates, [layer.num_output] * 4, axis=2, outputs=4)
        kept = graph.op("Mul", graph.op("Mul", graph.op("Sigmoid", f), marker), c)
        c = graph.op("Add", kept, graph.op("Mul", graph.op("Sigmoid", i), graph.op("Tanh", g)))
        h = graph.op("Mul", graph.op("Sigmoid", o), graph.op("Tanh", c))
        outputs.append(h)
    for blob, state in zip(layer.hidden, (h, c), strict=True):
        graph.after(blob, graph.op("Squeeze", state, [0]))
    return graph.op("Concat", *outputs, axis=0) if len(outputs) > 1 else outputs[0]


def _gates(array: np.ndarray, order: list[int]) -> np.ndarray:
    return np.concatenate([np.split(array, 4)[k] for k in order])


def _steps(graph: Graph, value: Any, number: int) -> list[Any]:
    return [value] if number == 1 else list(graph.op("Split", value, [1] * number, axis=0, outputs=number))


def ctc_greedy_decoder(graph: Graph, layer: Any) -> Any:
    if layer.accuracy_top is not None:
        graph.refuse("an accuracy, which compares with targets, is not exported: leave out the last bottom and top.")
    scores, markers = graph.bottoms[:2]
    steps = scores.shape[0]
    best = graph.op("ArgMax", scores, axis=2, keepdims=0)
    kept = _not(graph, graph.op("Equal", best, graph.constant(layer.blank)))
    if layer.merge and steps > 1:
        kept = graph.op("And", kept, _first_of_run(graph, best, 0, steps))
    lasting = None
    if steps > 1:
        begins = graph.cast(graph.op("Equal", graph.op("Reshape", markers, [0, 0]), 0.0), "int64")
        first, _ = graph.op("Split", begins, [1, steps - 1], axis=0, outputs=2)
        number = graph.op("CumSum", begins, graph.constant(0))
        lasting = graph.op("Equal", number, first)
        kept = graph.op("And", kept, lasting)
    found = graph.op("Transpose", _compacted(graph, best, kept, steps), perm=[1, 0])
    tops = [graph.op("Unsqueeze", graph.cast(found), [2, 3])]
    if layer.score_top is not None:
        highest = graph.reduce("Max", scores, [2], keepdims=False)
        if lasting is not None:
            highest = graph.op("Where", lasting, highest, 0.0)
        total = graph.op("Neg", graph.reduce("Sum", highest, [0], keepdims=False))
        tops.append(graph.op("Unsqueeze", total, [1, 2, 3]))
    return tops


def _first_of_run(graph: Graph, best: Any, axis: int, steps: int) -> Any:
    """Where a class is not that of the step before."""
    first, _ = graph.op("Split", best, [1, steps - 1], axis=axis, outputs=2)
    before, _ = graph.op("Split", best, [steps - 1, 1], axis=axis, outputs=2)
    nothing = graph.op("Sub", graph.op("Mul", first, 0), 1)
    return _not(graph, graph.op("Equal", best, graph.op("Concat", nothing, before, axis=axis)))


def _not(graph: Graph, value: Any) -> Any:
    return graph.op("Not", value)


def _compacted(graph: Graph, classes: Any, kept: Any, steps: int) -> Any:
    """The classes that are kept, along axis 0, followed by -1: int64, the shape of `classes`."""
    number = graph.op("Sub", graph.op("CumSum", graph.cast(kept, "int64"), graph.constant(0)), 1)
    place = graph.op("Where", kept, number, steps)
    first, _ = graph.op("Split", classes, [1, steps - 1], axis=0, outputs=2) if steps > 1 else (classes, None)
    nothing = graph.op("Sub", graph.op("Mul", graph.op("Concat", classes, first, axis=0), 0), 1)
    made = graph.op("ScatterElements", nothing, place, classes, axis=0)
    return graph.op("Slice", made, [0], [steps], [0])


def labelsequence_accuracy(graph: Graph, layer: Any) -> None:
    """Left out, as Accuracy is."""
    if graph.keeps_losses:
        graph.refuse("an accuracy of whole sequences is not exported: leave out keep_losses.")
