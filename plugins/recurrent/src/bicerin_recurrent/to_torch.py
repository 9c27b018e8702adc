"""What the layers are in PyTorch, for bicerin-onnx.

They are loops over time, since `nn.LSTM` and `nn.RNN` know no markers of where sequences begin. A module has no memory
from one run to the next: without `expose_hidden`, every run begins with hidden states of 0.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from bicerin.layer.torch_code import Code


def lstm(code: Code, layer: Any) -> str:
    hidden = _hidden(code, layer, 2)
    y = f"{code.function(lstm_steps)}({_inputs(code, layer)}, {code.bottoms[1]}, {_recurrent(code, layer)}, {hidden})"
    _ = code.function(lstm_unit_step)
    return y if layer.expose_hidden else f"{y}[0]"


def rnn(code: Code, layer: Any) -> Any:
    recurrent = layer.recurrent_weight
    arrays = {"weight": code.blob(recurrent + 1), "bias": code.blob(recurrent + 2)}
    output = code.module("nn.Linear", *layer.blobs[recurrent + 1].shape[::-1], arrays=arrays, suffix="o")
    arguments = (
        f"{_inputs(code, layer)}, {code.bottoms[1]}, {_recurrent(code, layer)}, {output}, {_hidden(code, layer, 1)}"
    )
    y = f"{code.function(rnn_steps)}({arguments})"
    return y if layer.expose_hidden else f"{y}[0]"


def lstm_unit(code: Code, layer: Any) -> str:
    c, x, cont = code.bottoms
    return f"{code.function(lstm_unit_step)}({x}, {cont}.unsqueeze(2), {c})"


def _inputs(code: Code, layer: Any) -> str:
    """What the inputs give to each step, `(T, N, G)`."""
    x = code.bottoms[0]
    weight = code.blob(0)
    linear = code.module("nn.Linear", *weight.shape[::-1], arrays={"weight": weight, "bias": code.blob(1)}, suffix="x")
    y = f"{linear}({x}.flatten(2))" if len(x.shape) > 3 else f"{linear}({x})"
    if layer.static:
        static, weight = code.bottoms[2], code.blob(2)
        linear = code.module("nn.Linear", *weight.shape[::-1], arrays={"weight": weight}, suffix="static", bias=False)
        y += f" + {linear}({static}.flatten(1))"
    return y


def _recurrent(code: Code, layer: Any) -> str:
    weight = code.blob(layer.recurrent_weight)
    return code.module("nn.Linear", *weight.shape[::-1], arrays={"weight": weight}, suffix="h", bias=False)


def _hidden(code: Code, layer: Any, number: int) -> str:
    """The states before the first step, `(1, N, H)` each."""
    if layer.expose_hidden:
        return ", ".join(map(str, code.bottoms[-number:]))
    x = code.bottoms[0]
    return ", ".join([f"{x}.new_zeros(1, {x}.shape[1], {layer.num_output})"] * number)


def lstm_unit_step(gates: Tensor, cont: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
    """The cell and the output of one step. A sequence that begins, where cont is 0, forgets its cell."""
    i, f, o, g = gates.chunk(4, 2)
    c = cont * torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
    return c, torch.sigmoid(o) * torch.tanh(c)


def lstm_steps(
    inputs: Tensor, cont: Tensor, recurrent: nn.Module, h: Tensor, c: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """The outputs of all steps, `(T, N, H)`, and the states after the last."""
    outputs = []
    for gates, going in zip(inputs.split(1), cont[..., None].split(1), strict=True):
        c, h = lstm_unit_step(gates + recurrent(going * h), going, c)
        outputs.append(h)
    return torch.cat(outputs), h, c


def rnn_steps(
    inputs: Tensor, cont: Tensor, recurrent: nn.Module, output: nn.Module, h: Tensor
) -> tuple[Tensor, Tensor]:
    """The outputs of all steps, `(T, N, H)`, and the state after the last."""
    states = []
    for gates, going in zip(inputs.split(1), cont[..., None].split(1), strict=True):
        h = torch.tanh(gates + recurrent(going * h))
        states.append(h)
    return torch.tanh(output(torch.cat(states))), h
