"""What the layers are in PyTorch, for bicerin-onnx."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bicerin_convolution.to_torch import convolution

if TYPE_CHECKING:
    import torch
    import torch.nn.functional as F
    from torch import Tensor

    from bicerin.layer.torch_code import Code

__all__ = [
    "axpy",
    "bn",
    "broadcast_mul",
    "convolution",
    "imresize",
    "interp",
    "maximum",
    "nms",
    "relu6",
    "shuffle_channel",
    "spatial_transformer",
    "upsample",
]


def relu6(code: Code, layer: Any) -> str:
    (x,) = code.bottoms
    if layer.negative_slope == 0:
        return f"F.relu6({x})"
    return f"F.leaky_relu({x}, {code.number(layer.negative_slope)}).clamp(max=6)"


def shuffle_channel(code: Code, layer: Any) -> str:
    (x,) = code.bottoms
    # F.channel_shuffle has no gradient for some sizes in some versions.
    return f"{x}.unflatten(1, ({layer.group}, -1)).transpose(1, 2).flatten(1, 2)" if layer.group > 1 else str(x)


def axpy(code: Code, layer: Any) -> str:
    a, x, y = code.bottoms
    return f"{_factor(a, x)} * {x} + {y}"


def broadcast_mul(code: Code, layer: Any) -> str:
    x, a = code.bottoms[layer.larger], code.bottoms[1 - layer.larger]
    return f"{x} * {_factor(a, x)}"


def _factor(a: Any, x: Any) -> str:
    """One factor for each channel, with an axis of 1 for each that it lacks behind."""
    missing = len(x.shape) - len(a.shape)
    return f"{a}[{', '.join(['...', *['None'] * missing])}]" if missing else str(a)


def upsample(code: Code, layer: Any) -> str:
    x = code.bottoms[0]
    if layer.masked:
        return code.call(code.function(unpooled), x, code.bottoms[1], *code.tops[0][2:])
    if layer.scale == 1:
        return str(x)
    return f"{x}.repeat_interleave({layer.scale}, -2).repeat_interleave({layer.scale}, -1)"


def unpooled(x: Tensor, mask: Tensor, height: int, width: int) -> Tensor:
    """Each pixel at the place in its plane that the mask says, among zeros."""
    plane = x.new_zeros(*x.shape[:2], height * width)
    return plane.scatter(2, mask.long().flatten(2), x.flatten(2)).unflatten(2, (height, width))


def interp(code: Code, layer: Any) -> str:
    (x,) = code.bottoms
    before, after = layer.crop
    part = f"{before}:{f'-{after}' if after else ''}" if before or after else ""
    inner = f"{x}[:, :, {part}, {part}]" if part else str(x)
    if layer.nearest:
        rows, columns = (
            code.buffer(np.asarray(places) - before, name)
            for places, name in ((layer.rows, "rows"), (layer.columns, "columns"))
        )
        return f"{inner}[:, :, {rows}][..., {columns}]"
    return code.call("F.interpolate", inner, tuple(code.tops[0][2:]), mode='"bilinear"', align_corners=True)


def imresize(code: Code, layer: Any) -> str:
    (x,) = code.bottoms
    rows, columns = (
        code.buffer(_tap_matrices(taps, length), name)
        for taps, length, name in (
            (layer.rows, x.shape[2], "rows"),
            (layer.columns, x.shape[3], "columns"),
        )
    )
    return f'torch.einsum("sih,schw,sjw->scij", {rows}, {x}, {columns}).mean(0, keepdim=True)'


def _tap_matrices(taps: Any, length: int) -> Any:
    """What each row or column of the bottom gives to each of the top, (S, after, length)."""
    places, weights = taps
    there = np.asarray(places)[..., None] == np.arange(length)
    return (there * np.asarray(weights)[..., None]).sum(axis=2)


def maximum(code: Code, layer: Any) -> str:
    return code.call(code.function(greatest), code.bottoms[0])


def nms(code: Code, layer: Any) -> str:
    return code.call(code.function(peaks), code.bottoms[0], layer.parts, float(layer.threshold), layer.limit)


def peaks(x: Tensor, parts: int, threshold: float, limit: int) -> Tensor:
    """The first peaks of each map: their number, and rows of x, y, means of the 7 x 7 pixels around, and the value."""
    maps = x.detach()[:, :parts]
    height, width = maps.shape[2:]
    framed = F.pad(maps, (1, 1, 1, 1), value=float("inf"))
    around = [framed[:, :, i : i + height, j : j + width] for i in range(3) for j in range(3) if (i, j) != (1, 1)]
    is_peak = ((maps > threshold) & (maps > torch.stack(around).amax(0))).flatten(2)
    count = is_peak.sum(2)
    # With room for as many as there may be.
    place = F.pad(is_peak.byte(), (0, limit)).sort(dim=2, descending=True, stable=True).indices[..., :limit]
    there = torch.arange(limit, device=x.device) < count.unsqueeze(2)
    place = torch.where(there, place, 0)
    row, column = place // width, place % width
    # Row and column 0 count nothing.
    positive = F.pad(F.pad(maps.clamp(min=0)[:, :, 1:, 1:], (1, 0, 1, 0)), (3, 3, 3, 3)).flatten(2)
    steps = torch.arange(7, device=x.device)
    rows, columns = row[..., None, None] + steps[:, None], column[..., None, None] + steps
    near = positive.gather(2, (rows * (width + 6) + columns).flatten(2)).reshape(*place.shape, 7, 7)
    total = near.sum((3, 4))
    divisor = torch.where(total > 0, total, 1)
    across, along = ((near * (at - 3)).sum((3, 4)) / divisor for at in (columns, rows))
    found = torch.stack((across, along, maps.flatten(2).gather(2, place)), 3) * there.unsqueeze(3)
    return torch.cat((F.pad(count[..., None, None].to(x.dtype), (0, 2)), found), 2)


def greatest(x: Tensor) -> Tensor:
    """x, y and the value of the greatest of each map, if it is above the least positive normal number."""
    least = torch.finfo(x.dtype).tiny
    value, place = x.flatten(2).max(2)
    place = torch.where(value > least, place, 0)
    width = x.shape[3]
    return torch.stack((place % width, place // width, value.clamp(min=least)), 2)[:, :, None].to(x.dtype)


def spatial_transformer(code: Code, layer: Any) -> str:
    x, theta = code.bottoms
    fixed = np.array(layer.fixed, np.float64)
    fixed[layer.given] = 0
    chosen = np.zeros((len(layer.given), 6))
    chosen[np.arange(len(layer.given)), layer.given] = 1
    arguments = [code.buffer(array, name) for array, name in ((chosen, "chosen"), (fixed, "fixed"))]
    grid = code.buffer(np.asarray(layer.grid), "grid")
    source = x if layer.passes else f"{x}.detach()"
    return code.call(code.function(transformed), source, theta, *arguments, grid, *code.tops[0][2:])


def transformed(
    x: Tensor, theta: Tensor, chosen: Tensor, fixed: Tensor, grid: Tensor, height: int, width: int
) -> Tensor:
    """Bilinear samples of x where theta, of each item, moves the places of the grid, rows before columns."""
    matrix = (theta.reshape(x.shape[0], -1) @ chosen + fixed).reshape(-1, 2, 3)
    # F.grid_sample has x before y, and counts from the corners of pixels.
    places = (grid @ matrix.mT).flip(-1) + x.new_tensor([1 / x.shape[3], 1 / x.shape[2]])
    return F.grid_sample(x, places.reshape(-1, height, width, 2), "bilinear", "zeros", False)


def bn(code: Code, layer: Any) -> Any:
    (x,) = code.bottoms
    channels, axes = layer.channels, len(x.shape)
    if layer.averages:
        if not 2 <= axes <= 5:
            code.refuse(f"nn.BatchNorm3d has the most axes in PyTorch, 5; the layer has {axes}.")
        names = ("weight", "bias", "running_mean", "running_var")
        arrays: dict[str, Any] = {name: code.blob(index, [channels]) for index, name in enumerate(names)}
        if layer.frozen:
            mean, variance = (
                code.buffer(code.blob(index, [channels]), name) for index, name in ((2, "mean"), (3, "var"))
            )
            weight, bias = (
                code.parameter(code.blob(index, [channels]), name) for index, name in ((0, "weight"), (1, "bias"))
            )
            return code.call("F.batch_norm", x, mean, variance, weight, bias, eps=float(layer.eps))
        norm = code.module(
            f"nn.BatchNorm{max(axes - 2, 1)}d",
            channels,
            arrays={**arrays, "num_batches_tracked": np.array(0)},
            eps=float(layer.eps),
            momentum=round(1 - layer.param.bn_param.momentum, 6),
        )
        return f"{norm}({x})"
    shape = [channels, *[1] * (axes - 2)]
    if not layer.uses_batch:
        if len(code.tops) > 1:
            code.refuse("with bn_mode: INFERENCE there are no mean and variance for further tops.")
        weight, bias = code.parameter(code.blob(0, shape), "weight"), code.parameter(code.blob(1, shape), "bias")
        return f"{x} * {weight} + {bias}"
    if layer.by_place:
        shape = list(x.shape[1:])
        weight, bias = code.parameter(code.blob(0, shape), "weight"), code.parameter(code.blob(1, shape), "bias")
        deviation = f"({x}.var(0, correction=0) + {float(layer.eps)!r}).sqrt()"
        return f"({x} - {x}.mean(0)) / {deviation} * {weight} + {bias}"
    weight, bias = code.parameter(code.blob(0, [channels]), "weight"), code.parameter(code.blob(1, [channels]), "bias")
    y = code.call("F.batch_norm", x, None, None, weight, bias, training=True, eps=float(layer.eps))
    if len(code.tops) == 1:
        return y
    reduced = tuple(axis for axis in range(axes) if axis != 1)
    moments = (f"{x}.mean({reduced})", f"{x}.var({reduced}, correction=0)")
    return [y, *(f"{moment}.reshape(1, {channels}, 1, 1)" for moment in moments)][: len(code.tops)]
