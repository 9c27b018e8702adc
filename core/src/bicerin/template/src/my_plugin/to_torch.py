"""What the layer is in PyTorch: `bicerin export --to torch`, of bicerin-onnx, calls it for nets that have the layer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bicerin.layer.torch_code import Code


def my_layer(code: Code, layer: Any) -> str:
    """Shrink, and a factor for each channel: one axis, with axes of 1 for all behind."""
    (x,) = code.bottoms
    factor = code.parameter(code.blob(0, [layer.blobs[0].count, *[1] * (len(x.shape) - 2)]), "factor")
    return f"F.softshrink({x}, {code.number(layer.threshold)}) * {factor}"
