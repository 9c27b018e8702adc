"""What the layers are in ONNX, for bicerin-onnx.

They are unrolled in time, since ONNX's LSTM and RNN know no markers of where sequences begin.
A model has no memory from one run to the next: without `expose_hidden`, every run of it begins with hidden states of 0.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bicerin.layer.onnx_graph import Graph


def lstm(graph: Graph, layer: Any) -> Any:
    weight = graph.constant(graph.weights(layer.recurrent_weight).T)  # one for all steps

    def step(inputs: Any, cont: Any, states: Sequence[Any]) -> Sequence[Any]:
        h, c = states
        gates = graph.op("Add", inputs, graph.op("MatMul", graph.op("Mul", h, cont), weight))
        c, h = _unit(graph, gates, cont, c, layer.num_output)
        return h, c

    outputs, states = _unrolled(graph, layer, step)
    return [outputs, *states] if layer.expose_hidden else outputs


def rnn(graph: Graph, layer: Any) -> Any:
    recurrent = layer.recurrent_weight
    weight = graph.constant(graph.weights(recurrent).T)

    def step(inputs: Any, cont: Any, states: Sequence[Any]) -> Sequence[Any]:
        product = graph.op("MatMul", graph.op("Mul", states[0], cont), weight)
        return [graph.op("Tanh", graph.op("Add", inputs, product))]

    hidden, states = _unrolled(graph, layer, step)
    y = graph.op("MatMul", hidden, graph.weights(recurrent + 1).T)
    y = graph.op("Tanh", graph.op("Add", y, graph.blob(recurrent + 2)))
    return [y, *states] if layer.expose_hidden else y


def lstm_unit(graph: Graph, layer: Any) -> Any:
    c, x, cont = graph.bottoms
    return _unit(graph, x, graph.op("Unsqueeze", cont, [2]), c, c.shape[2])


def _unit(graph: Graph, gates: Any, cont: Any, c: Any, size: int) -> tuple[Any, Any]:
    """The cell and the output of one step, `(1, N, H)`."""
    i, f, o, g = graph.op("Split", gates, [size] * 4, axis=2, outputs=4)
    f = graph.op("Mul", graph.op("Sigmoid", f), cont)
    kept = graph.op("Mul", f, c)
    c = graph.op("Add", kept, graph.op("Mul", graph.op("Sigmoid", i), graph.op("Tanh", g)))
    return c, graph.op("Mul", graph.op("Sigmoid", o), graph.op("Tanh", c))


def _unrolled(
    graph: Graph, layer: Any, step: Callable[[Any, Any, Sequence[Any]], Sequence[Any]]
) -> tuple[Any, Sequence[Any]]:
    """The first state of every step, `(T, N, H)`, and all states after the last, `(1, N, H)` each."""
    x, cont = graph.bottoms[:2]
    if len(x.shape) > 3:
        x = graph.op("Reshape", x, [0, 0, layer._features[0]])
    inputs = graph.op("Add", graph.op("MatMul", x, graph.weights(0).T), graph.blob(1))
    first = 2
    if layer.static:
        static = graph.bottoms[2]
        if len(static.shape) > 2:
            static = graph.op("Flatten", static, axis=1)
        inputs = graph.op("Add", inputs, graph.op("MatMul", static, graph.weights(2).T))
        first = 3
    cont = graph.op("Unsqueeze", cont, [2])
    steps = layer.steps
    states: Sequence[Any] = graph.bottoms[first:]
    if not layer.expose_hidden:
        states = [graph.before(blob) for blob in layer.hidden]
    outputs = []
    for own, marker in zip(_steps(graph, inputs, steps), _steps(graph, cont, steps), strict=True):
        states = step(own, marker, states)
        outputs.append(states[0])
    for blob, state in zip(layer.hidden if not layer.expose_hidden else (), states, strict=False):
        graph.after(blob, state)
    return graph.op("Concat", *outputs, axis=0), states


def _steps(graph: Graph, value: Any, number: int) -> Sequence[Any]:
    if number == 1:
        return [value]
    parts: Sequence[Any] = graph.op("Split", value, [1] * number, axis=0, outputs=number)
    return parts
