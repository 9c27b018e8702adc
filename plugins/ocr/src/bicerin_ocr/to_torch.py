"""What the layers are in PyTorch, for bicerin-onnx."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from bicerin.layer.torch_code import Code


def transpose(code: Code, layer: Any) -> str:
    return code.call(f"{code.bottoms[0]}.permute", *layer.order)


def reverse(code: Code, layer: Any) -> str:
    return f"{code.bottoms[0]}.flip({layer.axis})"


def continuation_indicator(code: Code, layer: Any) -> str:
    column = np.ones((layer.steps, 1), np.float32)
    column[:1] = 0
    markers = code.buffer(column, "")
    if not code.bottoms:
        return f"{markers}.repeat(1, {code.tops[0][1]})"
    (x,) = code.bottoms
    axis = layer.param.continuation_indicator_param.axis % len(x.shape)
    return f"{markers}.repeat(1, {x}.shape[{axis}])"


def lstm(code: Code, layer: Any) -> str:
    """PyTorch's own LSTM, whose gates have another order, or a loop over time where there are markers.

    A module has no memory from one run to the next: every run begins with hidden states of 0.
    """
    x = code.bottoms[0]
    rows = f"{x}.flatten(2)" if len(x.shape) > 3 else str(x)
    if len(x.shape) == 2:
        rows = f"{x}.unsqueeze(2)"
    size = layer.num_output
    if len(code.bottoms) == 1:
        weights, recurrent, bias = (_gates(code.weights(index)) for index in range(3))
        arrays = {
            "weight_ih_l0": weights,
            "weight_hh_l0": recurrent,
            "bias_ih_l0": bias,
            "bias_hh_l0": np.zeros_like(bias),
        }
        return f"{code.module('nn.LSTM', layer.features, size, arrays=arrays)}({rows})[0]"
    inputs = code.module(
        "nn.Linear", layer.features, 4 * size, arrays={"weight": code.blob(0), "bias": code.blob(2)}, suffix="x"
    )
    hidden = code.module("nn.Linear", size, 4 * size, arrays={"weight": code.blob(1)}, suffix="h", bias=False)
    return f"{code.function(marked_lstm)}({inputs}({rows}), {code.bottoms[1]}, {hidden})"


def _gates(array: np.ndarray) -> np.ndarray:
    """From the order i, f, o, g to i, f, g, o."""
    i, f, o, g = np.split(array, 4)
    return np.concatenate([i, f, g, o])


def ctc_greedy_decoder(code: Code, layer: Any) -> list[str]:
    if layer.accuracy_top is not None:
        code.refuse("an accuracy, which compares with targets, is not exported: leave out the last bottom and top.")
    scores, markers = code.bottoms[:2]
    found = code.call(
        code.function(greedy_path), scores, f"{markers}.reshape({scores}.shape[:2])", layer.blank, bool(layer.merge)
    )
    return [f"{found}[{place}]" for place in range(len(code.tops))]


def marked_lstm(inputs: Tensor, markers: Tensor, recurrent: nn.Module) -> Tensor:
    """The outputs of all steps, `(T, N, H)`. Where a marker is 0, a sequence begins, which forgets what was before."""
    h = c = inputs.new_zeros(1, inputs.shape[1], inputs.shape[2] // 4)
    outputs = []
    for gates, going in zip(inputs.split(1), (markers != 0)[..., None].to(inputs.dtype).split(1), strict=True):
        i, f, o, g = (gates + recurrent(going * h)).chunk(4, 2)
        c = torch.sigmoid(f) * going * c + torch.sigmoid(i) * torch.tanh(g)
        h = torch.sigmoid(o) * torch.tanh(c)
        outputs.append(h)
    return torch.cat(outputs)


def greedy_path(scores: Tensor, markers: Tensor, blank: int, merge: bool) -> tuple[Tensor, Tensor]:
    """What is read, `(N, T, 1, 1)`, followed by -1, and minus the sum of the best scores, `(N, 1, 1, 1)`.

    A sequence ends before the first marker of 0 after its first step.
    """
    highest, best = scores.max(2)
    begins = markers == 0
    lasting = begins.cumsum(0) == begins[:1]
    kept = (best != blank) & lasting
    if merge:
        kept[1:] &= best[1:] != best[:-1]
    order = torch.sort(~kept, dim=0, stable=True).indices
    read = torch.where(kept.gather(0, order), best.gather(0, order), -1).to(scores.dtype)
    return read.t()[..., None, None], -(highest * lasting).sum(0)[:, None, None, None]


def labelsequence_accuracy(code: Code, layer: Any) -> None:
    """Left out, as Accuracy is."""
    if code.keeps_losses:
        code.refuse("an accuracy of whole sequences is not exported: leave out keep_losses.")
