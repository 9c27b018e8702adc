"""What a Python layer is in ONNX, for bicerin-onnx: what the user's class says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bicerin_python.says_itself import said_by_user

if TYPE_CHECKING:
    from bicerin.layer.onnx_graph import Graph


def python(graph: Graph, layer: Any) -> Any:
    if not callable(getattr(layer.user, "to_onnx", None)):
        graph.refuse(
            f"{type(layer.user).__name__} does not say what it is in ONNX: give it a method to_onnx(self, graph) that "
            "returns the values of its tops, such as graph.op('Relu', graph.bottoms[0])."
        )
    return said_by_user(layer, "to_onnx", graph, "the values of its tops")
