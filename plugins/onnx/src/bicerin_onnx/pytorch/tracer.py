"""From a net's layers to expressions of PyTorch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from bicerin.net.node import Node
from bicerin_onnx.graph import Graph, Value
from bicerin_onnx.hooks import Hooks, torch_hooks
from bicerin_onnx.pytorch.layer_code import LayerCode
from bicerin_onnx.tracing import Tracer


@dataclass
class ModuleTracer(Tracer):
    """Calls the functions that say what layers are in PyTorch."""

    registry: ClassVar[Hooks] = torch_hooks

    def _place(self, graph: Graph, node: Node, bottoms: list[Value]) -> Any:
        targets = [node.top_names[j] if j < len(node.top_names) else f"{node.name}/{j}" for j in range(len(node.top))]
        in_place = bool(node.bottom and node.top) and node.bottom[0] is node.top[0]
        shapes = [blob.shape for blob in node.top]
        return LayerCode(graph, node.layer, bottoms, shapes, targets, self.keep_losses, in_place)

    def _results(self, place: Any, index: int) -> list[Value] | None:
        node, hook = self.nodes[index], self.hooks[index]
        if hook is None:
            otherwise = "With end=, or --end, the module ends with a blob before it."
            raise torch_hooks.missing(node.name, node.type, node.location, otherwise)
        result = hook(place, node.layer)
        return None if result is None else place.expressions(result)

    def _copy(self, place: Any, value: Value) -> Value:
        copy: Value = place.copy(value)
        return copy
