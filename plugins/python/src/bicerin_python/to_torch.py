"""What a Python layer is in PyTorch, for bicerin-onnx: what the user's class says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bicerin_python.says_itself import said_by_user

if TYPE_CHECKING:
    from bicerin.layer.torch_code import Code


def python(code: Code, layer: Any) -> Any:
    if not callable(getattr(layer.user, "to_torch", None)):
        code.refuse(
            f"{type(layer.user).__name__} does not say what it is in PyTorch: give it a method to_torch(self, code) "
            "that returns the text of its top, such as f'F.relu({code.bottoms[0]})'."
        )
    return said_by_user(layer, "to_torch", code, "the text of its top, or a list of those of its tops")
