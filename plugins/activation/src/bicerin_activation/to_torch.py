"""What the layers are in PyTorch, for bicerin-onnx."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bicerin.layer.torch_code import Code


def relu(code: Code, layer: Any) -> str:
    if layer.negative_slope == 0:
        return f"F.relu({code.bottoms[0]})"
    return code.call("F.leaky_relu", code.bottoms[0], float(layer.negative_slope))


def prelu(code: Code, layer: Any) -> str:
    slopes = 1 if layer.shared else layer.channels
    prelu = code.module("nn.PReLU", slopes, arrays={"weight": code.blob(0, [slopes])})
    return f"{prelu}({code.bottoms[0]})"


def elu(code: Code, layer: Any) -> str:
    return code.call("F.elu", code.bottoms[0], float(layer.alpha))


def selu(code: Code, layer: Any) -> str:
    (x,) = code.bottoms
    if layer.scale <= 0:
        code.refuse("a lambda that is not positive has no form here.")
    return f"{code.number(layer.scale)} * {code.call('F.elu', x, float(layer.negative / layer.scale))}"


def mish(code: Code, layer: Any) -> str:
    return f"F.mish({code.bottoms[0]})"


def sigmoid(code: Code, layer: Any) -> str:
    return f"torch.sigmoid({code.bottoms[0]})"


def tanh(code: Code, layer: Any) -> str:
    return f"torch.tanh({code.bottoms[0]})"


def absval(code: Code, layer: Any) -> str:
    return f"{code.bottoms[0]}.abs()"


def bnll(code: Code, layer: Any) -> str:
    return f"F.softplus({code.bottoms[0]})"


def swish(code: Code, layer: Any) -> str:
    (x,) = code.bottoms
    if layer.beta == 1:
        return f"F.silu({x})"
    return f"{x} * torch.sigmoid({code.number(layer.beta)} * {x})"


def clip(code: Code, layer: Any) -> str:
    return code.call(f"{code.bottoms[0]}.clamp", float(layer.min), float(layer.max))


def threshold(code: Code, layer: Any) -> str:
    return f"({code.bottoms[0]} > {code.number(layer.threshold)}).float()"


def dropout(code: Code, layer: Any) -> str:
    param = layer.param.dropout_param
    if param.sample_weights_test:
        code.refuse("with sample_weights_test it draws in eval() as well.")
    drop = code.module("nn.Dropout", float(param.dropout_ratio))
    kept = "" if param.scale_train else f" * {code.number(1 - param.dropout_ratio)}"
    return f"{drop}({code.bottoms[0]}){kept}"


def selu_dropout(code: Code, layer: Any) -> str:
    if abs(layer.alpha + 1.7580993) > 1e-5:
        code.refuse("an alpha that is not SeLu's own has no form here.")
    return f"{code.module('nn.AlphaDropout', float(layer.param.selu_dropout_param.dropout_ratio))}({code.bottoms[0]})"


def symmetric_rectify(code: Code, layer: Any) -> str:
    """x less what is left of it between -t and t."""
    (x,) = code.bottoms
    shape = [] if layer.shared else [layer.channels, *[1] * (len(code.tops[0]) - 2)]
    limit = f"{code.parameter(code.blob(0, shape), 'threshold')}.clamp(min=0)"
    return f"{x} - torch.minimum(torch.maximum({x}, -{limit}), {limit})"


def sparsify(code: Code, layer: Any) -> str:
    if layer.coefficient:
        code.refuse("coef pulls in the gradient alone, which has no form here; set it to 0 for a trained net.")
    (x,) = code.bottoms
    return f"{x} * ({x}.abs() > {code.number(layer.threshold)})"


def power(code: Code, layer: Any) -> str:
    (x,) = code.bottoms
    if layer.slope == 0:
        return f"torch.full_like({x}, {code.number(layer.constant())})"
    line = _line(code, x, layer.scale, layer.shift)
    if layer.power == 1:
        return line
    return f"({line}) ** {code.number(layer.power)}" if line != str(x) else f"{x} ** {code.number(layer.power)}"


def exp(code: Code, layer: Any) -> str:
    y = f"torch.exp({_line(code, code.bottoms[0], layer.inner_scale, 0)})"
    return y if layer.outer_scale == 1 else f"{code.number(layer.outer_scale)} * {y}"


def log(code: Code, layer: Any) -> str:
    y = f"torch.log({_line(code, code.bottoms[0], layer.scale, layer.shift)})"
    return y if layer.base_scale == 1 else f"{code.number(layer.base_scale)} * {y}"


def _line(code: Code, x: Any, scale: float, shift: float) -> str:
    """scale * x + shift."""
    scaled = str(x) if scale == 1 else f"{code.number(scale)} * {x}"
    return scaled if shift == 0 else f"{scaled} + {code.number(shift)}"
