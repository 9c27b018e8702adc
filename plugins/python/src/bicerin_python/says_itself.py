"""What a user's class says of itself for another framework, by a method of its own."""

from __future__ import annotations

from typing import Any


def said_by_user(layer: Any, method: str, builder: Any, wanted: str) -> Any:
    """What the method of the layer's user gives for its tops; None where the layer is to be left out.

    Args:
        layer: a `PythonLayer`, whose user's class has the method.
        method: its name, `to_onnx` or `to_torch`.
        builder: what the method gets, a `bicerin.layer.onnx_graph.Graph` or `bicerin.layer.torch_code.Code`; its
            `refuse` raises.
        wanted: what the method is to return.
    """
    made = getattr(layer.user, method)(builder)
    if made is None and builder.tops and (builder.keeps_losses or not any(layer.param.loss_weight)):
        # None leaves a layer out, and so does a `return` that was forgotten.
        builder.refuse(
            f"{method} of {type(layer.user).__name__} returned nothing: it is to return {wanted}, or () where the "
            "layer is to be left out."
        )
    return None if isinstance(made, (list, tuple)) and not made else made
