"""What the layers are in PyTorch, for bicerin-onnx."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from bicerin.layer.torch_code import Code


def unpooling(code: Code, layer: Any) -> str:
    x = code.bottoms[0]
    down = code.buffer(np.array(layer.down.arrays()[0]), "down")
    across = code.buffer(np.array(layer.across.arrays()[0]), "across")
    return f"{down} @ {x} @ {across}.T"


def seg_accuracy(code: Code, layer: Any) -> None:
    """Left out, as Accuracy is."""
    if code.keeps_losses:
        code.refuse("an accuracy of pixels by class is not exported: leave out keep_losses.")
