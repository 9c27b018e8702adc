"""From a net's layers, at the shapes that they have now, to a graph."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from bicerin.errors import BicerinError, LayerError, NetError
from bicerin.layer.loss_layer import LossLayer
from bicerin.net.node import Node
from bicerin.net.overwritten import overwritten_views
from bicerin_onnx.graph import Graph, Value
from bicerin_onnx.hooks import Hooks, hooks
from bicerin_onnx.layer_graph import LayerGraph
from bicerin_onnx.names import blob_names, free_name
from bicerin_proto.quotation import printable

_log = logging.getLogger("bicerin.onnx")


class NothingToExportError(NetError):
    """No layer of the net makes an output that would be in a model."""


class FunctionError(LayerError):
    """A layer's function does not do what it should; whose author has to mend it."""


@dataclass
class Tracer:
    """Calls the functions of the layers, those of ONNX; a subclass calls those of another language.

    Args:
        nodes: of a net, in the order in which they run.
        opset: of the operators.
        custom_domain: write a node of the domain `caffe` for a layer without function, or that its function refuses.
        keep_losses: export losses too.
        end: the names of the blobs to end with; none for what no layer reads.
        remembers: let what layers keep from one run to the next be inputs and outputs, `memories` of the graph.
    """

    nodes: Sequence[Node]
    opset: int
    custom_domain: bool = False
    keep_losses: bool = False
    end: Sequence[str] = ()
    remembers: bool = False

    registry: ClassVar[Hooks] = hooks

    def __post_init__(self) -> None:
        #: Whether functions should prefer operations that are right at any size.
        self.any_size = False
        self.names = blob_names(self.nodes)
        self.hooks = [self._hook(node) for node in self.nodes]
        self.active = leading_to(self.nodes, self.end)
        #: After a trace, the places of layers that are in no model: losses, Accuracy, and what reads those.
        self.left_out: list[int] = []
        #: Layers whose functions refused them, and which are nodes of the domain `caffe`.
        self._refused: set[str] = set()

    def _hook(self, node: Node) -> Any:
        if node.layer is None or (isinstance(node.layer, LossLayer) and not self.keep_losses):
            return None
        return self.registry.of(node.layer)

    def is_source(self, index: int) -> bool:
        """Whether the tops of a layer are inputs of the model."""
        return not self.nodes[index].bottom and self.hooks[index] is None

    def trace(self) -> Graph:
        """The graph at the present shapes, every value with its name.

        Raises:
            NothingToExportError: no layer makes an output.
            NetError, LayerError: a layer cannot be exported.
        """
        graph = Graph()
        env: dict[str, Value] = {}
        dropped: dict[str, str] = {}
        claimed: dict[int, str] = {}
        unread: dict[int, Value] = {}
        self.left_out = []
        self._refuse_overwriting()
        for i, node in self._running():
            bottom_names = node.bottom_names
            gone = [name for name in bottom_names if name in dropped]
            if isinstance(node.layer, LossLayer) and not self.keep_losses:
                dropped.update(dict.fromkeys(node.top_names, node.name))
                self.left_out.append(i)
                continue
            if gone:
                _log.info('left out layer "%s": it reads what "%s" made', node.name, dropped[gone[0]])
                dropped.update(dict.fromkeys(node.top_names, node.name))
                self.left_out.append(i)
                continue
            if node.type == "Split":
                env.update(dict.fromkeys(node.top_names, env[bottom_names[0]]))
                continue
            bottoms = [env[name] for name in bottom_names]
            made = self._inputs(graph, node) if self.is_source(i) else self._call(graph, i, bottoms, claimed)
            if made is None:
                dropped.update(dict.fromkeys(node.top_names, node.name))
                self.left_out.append(i)
                continue
            for value in bottoms:
                unread.pop(id(value), None)
            for j, value in enumerate(made):
                value.name = claimed[id(value)] = self.names[i, j]
                value.shape = node.top[j].shape
                value.is_blob = True
                if not self.is_source(i):
                    unread[id(value)] = value
            env.update(zip(node.top_names, made, strict=False))
        lost = [name for name in self.end if name in dropped]
        if lost:
            otherwise = "" if self.keep_losses else " without keep_losses=True, or --keep-losses"
            raise NetError(f'end="{lost[0]}": it is made by "{dropped[lost[0]]}", which is not exported{otherwise}.')
        graph.outputs = [env[name] for name in self.end] if self.end else list(unread.values())
        graph.outputs += [memory.after for memory in graph.memories]
        if not graph.outputs:
            raise NothingToExportError("there is nothing to export: no layer of the net makes an output.")
        graph.prune()
        self._name(graph)
        return graph

    def _running(self) -> Iterator[tuple[int, Node]]:
        return ((i, node) for i, node in enumerate(self.nodes) if i in self.active)

    def _refuse_overwriting(self) -> None:
        """A value never changes, so that none is what a layer's bottom is after another has written to its memory."""
        running = list(self._running())
        for place, sentence in overwritten_views([node for _, node in running]).items():
            node = running[place][1]
            raise NetError(
                f'layer "{printable(node.name)}" ({node.type}) cannot be exported: {sentence}. Give its top a name of '
                "its own, if that is what was meant."
            )

    def _inputs(self, graph: Graph, node: Node) -> list[Value]:
        made = [Value(shape=blob.shape) for blob in node.top]
        graph.inputs += made
        return made

    def _call(self, graph: Graph, index: int, bottoms: list[Value], claimed: dict[int, str]) -> list[Value] | None:
        """The values of a layer's tops, each its own; None where it is left out."""
        node = self.nodes[index]
        place = self._place(graph, node, bottoms)
        try:
            results = self._results(place, index)
        except LayerError as error:
            error.locate(node.layer, node.bottom, node.top)
            raise
        except BicerinError:
            raise
        except Exception as error:
            failure = FunctionError(f"the function that exports it raised {type(error).__name__}: {printable(error)}")
            failure.locate(node.layer, node.bottom, node.top)
            raise failure from error
        if results is None:
            return None
        if len(results) != len(node.top):
            raise NetError(
                f"{self.registry.described(node.layer)} returned {len(results)} values for {len(node.top)} top(s)."
            )
        graph.layers[node.name] = node.layer
        graph.memories += place.memories()
        made: list[Value] = []
        inputs = {id(value) for value in (*graph.inputs, *bottoms)}
        for value in results:
            if value.is_constant or id(value) in claimed or id(value) in inputs or value in made:
                value = self._copy(place, value)
            made.append(value)
        inherited = next((value.varies for value in bottoms if value.varies is not None), None)
        for j, value in enumerate(made):
            value.varies = place.varying.get(j, inherited)
        return made

    def _place(self, graph: Graph, node: Node, bottoms: list[Value]) -> Any:
        """What a layer's function is given."""
        place = LayerGraph(graph, node.layer, bottoms, [blob.shape for blob in node.top], self.opset, self.keep_losses)
        place.any_size, place.remembers = self.any_size, self.remembers
        return place

    def _results(self, place: Any, index: int) -> list[Value] | None:
        """What a layer's function returns; None where the layer is left out."""
        node, hook = self.nodes[index], self.hooks[index]
        if hook is None and not self.custom_domain:
            otherwise = (
                'With custom_domain=True, or --custom-domain, it becomes a node of the domain "caffe", which a runtime '
                "must be taught."
            )
            raise hooks.missing(node.name, node.type, node.location, otherwise)
        mark = place.mark()
        try:
            result = _custom(place, node) if hook is None else hook(place, node.layer)
        except LayerError as error:
            if not self.custom_domain:
                raise
            if node.name not in self._refused:
                _log.info('layer "%s" becomes a node of the domain "caffe": %s', node.name, error.reason)
            self._refused.add(node.name)
            place.go_back(mark)
            result = _custom(place, node)
        if result is None:
            if place.mark() != mark and (self.keep_losses or not node.is_loss):
                raise FunctionError(
                    f"{self.registry.described(node.layer)} returned nothing, after it had made operations: return the "
                    "value of each top. (A layer that is to be left out makes none.)"
                )
            return None
        results = [result] if isinstance(result, Value) else result
        wrong = no_values(results)
        if wrong:
            raise NetError(f"{self.registry.described(node.layer)} {wrong}")
        return list(results)

    def _copy(self, place: Any, value: Value) -> Value:
        """The same as a value of its own."""
        copy: Value = place.op("Identity", value)
        return copy

    def _name(self, graph: Graph) -> None:
        """Give names to what is no blob of the net, and to the operations."""
        taken = set(self.names.values())
        count: dict[str, int] = {}
        for operation in graph.operations:
            count[operation.layer] = count.get(operation.layer, 0) + 1
        node_names: set[str] = set()
        seen: set[int] = set()
        for operation in graph.operations:
            single = count[operation.layer] == 1
            wanted = operation.layer if single else f"{operation.layer}/{operation.operator}"
            operation.name = free_name([wanted], node_names)
            node_names.add(operation.name)
            for value in (*operation.inputs, *operation.outputs):
                if value is None or value.is_blob or id(value) in seen:
                    continue
                seen.add(id(value))
                kind = "constant" if value.is_constant else operation.operator
                value.name = free_name([value.name or f"{operation.layer}/{kind}"], taken)
                taken.add(value.name)


def leading_to(nodes: Sequence[Node], end: Sequence[str]) -> set[int]:
    """The places of the layers that lead to the blobs to end with; all of them where none is named.

    Raises:
        NetError: there is no such blob.
    """
    if not end:
        return set(range(len(nodes)))
    last = {name: i for i, node in enumerate(nodes) if node.type != "Split" for name in node.top_names}
    for name in end:
        if name not in last:
            raise NetError(f'end="{name}": the net has no such blob; it has: {", ".join(last)}.')
    found: set[int] = set()
    wanted = set(end)
    for i in reversed(range(len(nodes))):
        node = nodes[i]
        if any(name in wanted and (name not in end or last[name] >= i) for name in node.top_names):
            found.add(i)
            wanted -= set(node.top_names)
            wanted |= set(node.bottom_names)
    return found


def no_values(results: Any) -> str | None:
    """What is wrong with what a layer's function returned, in place of the values of the layer's tops."""
    if not isinstance(results, (list, tuple)):
        results = [results]
    for one in results:
        if not isinstance(one, Value):
            return (
                f"returned {printable(repr(one))}, which is no value: graph.op and graph.constant make values, one for "
                "each top."
            )
    return None


def _custom(graph: LayerGraph, node: Node) -> Any:
    """A node of the domain `caffe`, whose inputs are the bottoms and the learned blobs."""
    param = type(node.param)()
    param.CopyFrom(node.param)
    for name in ("name", "type", "bottom", "top", "blobs"):
        param.ClearField(name)
    blobs = [graph.blob(index) for index in range(len(node.blobs))]
    return graph.op(node.type, *graph.bottoms, *blobs, outputs=len(node.top), domain="caffe", param=str(param))
