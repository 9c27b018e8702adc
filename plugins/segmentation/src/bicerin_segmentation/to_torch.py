"""What the layers are in PyTorch, for bicerin-onnx."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bicerin_mobile.to_torch import upsample

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


def deconvnet_unpooling(code: Code, layer: Any) -> Any:
    if layer.masked:
        return upsample(code, layer)
    if layer.method == "TILE":
        code.refuse("the gradient of TILE is the mean over a window, that of the same product in PyTorch the sum.")
    down = code.buffer(np.array(layer.down.data), "down")
    across = code.buffer(np.array(layer.across.data), "across")
    return f"{down} @ {code.bottoms[0]} @ {across}.T"


def parse_output(code: Code, layer: Any) -> Any:
    (x,) = code.bottoms
    found = code.call("torch.max", x, 1, True)
    values = [f"{found}[1].to({x}.dtype)", f"{found}[0]"]
    return values[: len(code.tops)]
