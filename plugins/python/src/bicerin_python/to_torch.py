"""What a Python layer is in PyTorch, for bicerin-onnx: what the user's class says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bicerin_python.says_itself import said_by_user

if TYPE_CHECKING:
    from bicerin.layer.torch_code import Code


def python(code: Code, layer: Any) -> Any:
    return said_by_user(
        layer,
        "to_torch",
        code,
        "PyTorch: give it a method to_torch(self, code) that returns the text of its top, such as "
        "f'F.relu({code.bottoms[0]})'",
        "the text of its top, or a list of those of its tops",
    )
