"""What the layers are in PyTorch, for bicerin-onnx."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bicerin.layer.torch_code import Code


def inner_product(code: Code, layer: Any) -> str:
    x = code.bottoms[0]
    axis = len(code.tops[0]) - 1
    if not layer.learned:
        rows = f"{x}.flatten({axis})" if len(x.shape) != axis + 1 else str(x)
        return f"F.linear({rows}, {code.bottoms[1]}.flatten(1))"
    arrays = {"weight": code.weights(0).T if layer.transpose else code.blob(0)}
    if layer.bias_term:
        arrays["bias"] = code.blob(1)
    linear = code.module(
        "nn.Linear", layer.features, code.tops[0][-1], arrays=arrays, bias=None if layer.bias_term else False
    )
    if len(x.shape) == axis + 1:
        return f"{linear}({x})"
    return f"{linear}({x}.flatten({axis}))" if len(x.shape) > axis else f"{linear}({x}.unsqueeze(-1))"


def embed(code: Code, layer: Any) -> str:
    rows = code.module("nn.Embedding", *layer.blobs[0].shape, arrays={"weight": code.blob(0)})
    bias = f" + {code.parameter(code.blob(1), 'bias')}" if len(layer.blobs) > 1 else ""
    return f"{rows}({code.bottoms[0]}.long()){bias}"
