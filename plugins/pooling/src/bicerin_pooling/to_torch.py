"""What the layers are in PyTorch, for bicerin-onnx.

PyTorch counts windows as Caffe does, with `ceil_mode`, but for two rules: its padding is at most half a window, and it
never has a window that starts beyond the plane. There the plane is padded first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bicerin_pooling.window import Window

if TYPE_CHECKING:
    import torch
    from torch import Tensor
    from torch.nn import functional as F

    from bicerin.layer.torch_code import Code


def pooling(code: Code, layer: Any) -> str:
    (x,) = code.bottoms
    if layer.method == "STOCHASTIC":
        code.refuse("PyTorch has no stochastic pooling.")
    masked = len(code.tops) > 1
    if layer.window is None:
        kind = "max" if layer.method == "MAX" else "avg"
        return code.call(f"F.adaptive_{kind}_pool2d", x, 1, return_indices=True if masked else None)
    excludes = layer.method == "AVE" and not layer.counts_padding and max(layer.window[4:]) > 0
    return _pooled(code, layer.method, x, layer.window, layer.ceil, masked, excludes)


def global_sum_pooling(code: Code, layer: Any) -> str:
    return f"{code.bottoms[0]}.sum(0, keepdim=True)"


def spp(code: Code, layer: Any) -> str:
    (x,) = code.bottoms
    if layer.method == "STOCHASTIC":
        code.refuse("PyTorch has no stochastic pooling.")
    levels = []
    for level in range(layer.pyramid_height):
        bins = 2**level
        down, across = (-(-size // bins) for size in x.shape[2:])
        pads = [(length * bins - size + 1) // 2 for length, size in zip((down, across), x.shape[2:], strict=True)]
        pooled = _pooled(code, layer.method, x, Window(down, across, down, across, *pads), True, False)
        if layer.pyramid_height == 1:
            return pooled
        levels.append(f"{pooled}.flatten(1)")
    return f"torch.cat(({', '.join(levels)}), 1)"


def _pooled(
    code: Code, method: str, x: Any, window: Window, ceil: bool, masked: bool, excludes_padding: bool = False
) -> str:
    kernel, stride, pad = window[:2], window[2:4], window[4:6]
    # PyTorch's rule for the last window is Caffe's wherever there is padding, or windows leave nothing between them.
    same = all(k >= s or p for k, s, p in zip(kernel, stride, pad, strict=True)) or not ceil
    half = all(2 * p <= k for k, p in zip(kernel, pad, strict=True))
    if method == "MAX" and same and half:
        function, options = "F.max_pool2d", {"return_indices": True if masked else None}
    elif method == "AVE" and same and half:
        function, options = "F.avg_pool2d", {"count_include_pad": False if excludes_padding else None}
    else:
        if excludes_padding:
            code.refuse("PyTorch leaves out padding of at most half a window alone.")
        if masked:
            code.refuse("PyTorch has no places for windows that start beyond the plane, or are mostly padding.")
        height, width = x.shape[2:]
        window = window.within(height, width)
        kernel, stride, number = window[:2], window[2:4], window.pooled_shape(height, width, ceil)
        code.function(room_of_windows)
        function = code.function(max_pool if method == "MAX" else average_pool)
        return code.call(function, x, kernel, stride, pad, number)
    sizes = [code.one(kernel), code.one(stride)] + ([code.one(pad)] if any(pad) else [])
    return code.call(function, x, *sizes, ceil_mode=True if ceil else None, **options)


def room_of_windows(
    x: Tensor, kernel: tuple[int, int], stride: tuple[int, int], pad: tuple[int, int], number: tuple[int, int]
) -> tuple[int, int, int, int]:
    """How many pixels so many windows need before and after each row, and before and after each column."""
    down, across = (
        max((n - 1) * s + k - p - size, 0)
        for n, s, k, p, size in zip(number, stride, kernel, pad, x.shape[2:], strict=True)
    )
    return pad[1], across, pad[0], down


def max_pool(
    x: Tensor, kernel: tuple[int, int], stride: tuple[int, int], pad: tuple[int, int], number: tuple[int, int]
) -> Tensor:
    """The greatest value of so many windows; of one that is wholly beyond the plane, the least number that there is."""
    padding = room_of_windows(x, kernel, stride, pad, number)
    return F.max_pool2d(F.pad(x, padding, value=torch.finfo(x.dtype).min), kernel, stride)


def average_pool(
    x: Tensor, kernel: tuple[int, int], stride: tuple[int, int], pad: tuple[int, int], number: tuple[int, int]
) -> Tensor:
    """The sum of each of so many windows over its area, of which padding is a part, but not what lies beyond it."""
    padding = room_of_windows(x, kernel, stride, pad, number)
    sums = F.avg_pool2d(F.pad(x, padding), kernel, stride, divisor_override=1)
    sides = []
    for n, s, k, p, size in zip(number, stride, kernel, pad, x.shape[2:], strict=True):
        start = torch.arange(n, device=x.device) * s - p
        sides.append((start + k).clamp(max=size + p) - start)
    return sums[:, :, : number[0], : number[1]] / (sides[0][:, None] * sides[1])
