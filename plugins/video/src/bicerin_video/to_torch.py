"""What the layers are in PyTorch, for bicerin-onnx."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from torch import Tensor
    from torch.nn import functional as F

    from bicerin.layer.torch_code import Code


def passed_on(code: Code, layer: Any) -> str | list[str]:
    return str(code.bottoms[0]) if len(code.bottoms) == 1 else [str(x) for x in code.bottoms]


def batch_reduction(code: Code, layer: Any) -> str:
    x = str(code.bottoms[0])
    axis = layer.axis
    if layer.diagonal:
        x = f"{x}.diagonal(0, {axis}, {axis + 1}).movedim(-1, {axis})"
    whole = layer.levels == (1,)
    rows = []
    for begin, end in layer.pieces:
        piece = x if len(layer.pieces) == 1 else f"{x}.narrow({axis}, {begin}, {end - begin})"
        keeps = "" if whole else ", keepdim=True"
        if layer.method == "TOPK":
            piece = f"{piece}.topk({layer.k}, {axis})[0]"
        rows.append(f"{piece}.{'sum' if layer.method == 'SUM' else 'mean'}({axis}{keeps})")
    return rows[0] if len(rows) == 1 else f"torch.cat(({', '.join(rows)}), {axis})"


def pooling(code: Code, layer: Any) -> str:
    (x,) = code.bottoms
    kernel, stride, pad, _ = layer.windows
    axes = len(kernel)
    if axes > 3:
        code.refuse(f"PyTorch pools over 3 axes at most; the layer has {axes}.")
    code.function(room_of_windows)
    function = code.function(greatest_of_windows if layer.method == "MAX" else means_of_windows)
    return code.call(function, x, tuple(kernel), tuple(stride), tuple(pad), tuple(code.tops[0][2:]))


def room_of_windows(
    x: Tensor, kernel: tuple[int, ...], stride: tuple[int, ...], pad: tuple[int, ...], number: tuple[int, ...]
) -> list[int]:
    """What so many windows need before and after each axis, that of the last axis first."""
    room: list[int] = []
    for n, s, k, p, size in zip(number, stride, kernel, pad, x.shape[2:], strict=True):
        room = [p, max((n - 1) * s + k - p - size, 0), *room]
    return room


def greatest_of_windows(
    x: Tensor, kernel: tuple[int, ...], stride: tuple[int, ...], pad: tuple[int, ...], number: tuple[int, ...]
) -> Tensor:
    """The greatest value of so many windows; of one that is wholly beyond the axes, the least number that there is."""
    pool = (F.max_pool1d, F.max_pool2d, F.max_pool3d)[len(kernel) - 1]
    return pool(
        F.pad(x, room_of_windows(x, kernel, stride, pad, number), value=torch.finfo(x.dtype).min), kernel, stride
    )


def means_of_windows(
    x: Tensor, kernel: tuple[int, ...], stride: tuple[int, ...], pad: tuple[int, ...], number: tuple[int, ...]
) -> Tensor:
    """The sum of each of so many windows over its area, of which padding is a part, but not what lies beyond it."""
    pool = (F.avg_pool1d, F.avg_pool2d, F.avg_pool3d)[len(kernel) - 1]
    means = pool(F.pad(x, room_of_windows(x, kernel, stride, pad, number)), kernel, stride)
    for axis, (n, s, k, p, size) in enumerate(zip(number, stride, kernel, pad, x.shape[2:], strict=True)):
        start = torch.arange(n, device=x.device) * s - p
        side = (start + k).clamp(max=size + p) - start
        means = means * (k / side).reshape(-1, *[1] * (len(kernel) - 1 - axis))
    return means
