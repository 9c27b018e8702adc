"""What a Python layer is in PyTorch, for bicerin-onnx: what the user's class says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bicerin.layer.torch_code import Code


def python(code: Code, layer: Any) -> Any:
    user = layer.user
    if not callable(getattr(user, "to_torch", None)):
        code.refuse(
            f"{type(user).__name__} does not say what it is in PyTorch: give it a method to_torch(self, code) that "
            "returns the text of its top, such as f'F.relu({code.bottoms[0]})'."
        )
    made = user.to_torch(code)
    if made is None and code.tops and (code.keeps_losses or not any(layer.param.loss_weight)):
        # None leaves a layer out, and so does a `return` that was forgotten.
        code.refuse(
            f"to_torch of {type(user).__name__} returned nothing: it is to return the text of its top, or a list of "
            "those of its tops, or () where the layer is to be left out."
        )
    return None if isinstance(made, (list, tuple)) and not made else made
