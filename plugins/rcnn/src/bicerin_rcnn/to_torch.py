"""What the layers are in PyTorch, for bicerin-onnx; torch alone, without torchvision, has no pooling of regions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from bicerin.layer.torch_code import Code


def smooth_l1_loss(code: Code, layer: Any) -> str:
    if len(code.tops) > 1:
        code.refuse("the second top, each item's terms, is for choosing what to learn from.")
    rows = ", ".join(f"{x}.flatten(1)" for x in code.bottoms)
    return f"{code.function(smooth_l1)}({code.number(layer.sigma2)}, {rows})"


def smooth_l1(
    sigma2: float, x: Tensor, target: Tensor, inside: Tensor | float = 1.0, outside: Tensor | float = 1.0
) -> Tensor:
    """Squares of small differences and magnitudes of large ones, weighted inside and outside, over the images."""
    difference = (x - target) * inside
    distance = difference.abs()
    small = distance < 1 / sigma2
    errors = torch.where(small, 0.5 * sigma2 * difference * difference, distance - 0.5 / sigma2)
    return (errors * outside).sum() / x.shape[0]
