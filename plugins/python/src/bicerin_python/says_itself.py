"""What a user's class says of itself for another framework, by a method of its own."""

from __future__ import annotations

from typing import Any


def said_by_user(layer: Any, method: str, builder: Any, missing: str, wanted: str) -> Any:
    """What the method of the layer's user gives for its tops; None where the layer is to be left out.

    Args:
        layer: a `PythonLayer`.
        method: its name, `to_onnx` or `to_torch`.
        builder: what the method gets, a `bicerin.layer.onnx_graph.Graph` or `bicerin.layer.torch_code.Code`; its
            `refuse` raises.
        missing: of a class without the method: what it does not say itself to be in, and what to write.
        wanted: what the method is to return.
    """
    user = layer.user
    name = type(user).__name__
    if not callable(getattr(user, method, None)):
        builder.refuse(f"{name} does not say what it is in {missing}.")
    made = getattr(user, method)(builder)
    if made is None and builder.tops and (builder.keeps_losses or not any(layer.param.loss_weight)):
        # None leaves a layer out, and so does a `return` that was forgotten.
        builder.refuse(
            f"{method} of {name} returned nothing: it is to return {wanted}, or () where the layer is to be left out."
        )
    return None if isinstance(made, (list, tuple)) and not made else made
