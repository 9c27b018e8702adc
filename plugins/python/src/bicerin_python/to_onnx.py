"""What a Python layer is in ONNX, for bicerin-onnx: what the user's class says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bicerin.layer.onnx_graph import Graph


def python(graph: Graph, layer: Any) -> Any:
    user = layer.user
    if not callable(getattr(user, "to_onnx", None)):
        graph.refuse(
            f"{type(user).__name__} does not say what it is in ONNX: give it a method to_onnx(self, graph) that "
            "returns the values of its tops, such as graph.op('Relu', graph.bottoms[0])."
        )
    made = user.to_onnx(graph)
    if made is None and graph.tops and (graph.keeps_losses or not any(layer.param.loss_weight)):
        # None leaves a layer out, and so does a `return` that was forgotten.
        graph.refuse(
            f"to_onnx of {type(user).__name__} returned nothing: it is to return the values of its tops, or "
            "() where the layer is to be left out."
        )
    return None if isinstance(made, (list, tuple)) and not made else made
