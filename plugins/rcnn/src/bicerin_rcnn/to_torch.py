"""What the layers are in PyTorch, for bicerin-onnx; torch alone, without torchvision, has no pooling of regions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import torch
    import torch.nn.functional as F
    from torch import Tensor

    from bicerin.layer.torch_code import Code


def smooth_l1_loss(code: Code, layer: Any) -> str:
    if len(code.tops) > 1:
        code.refuse("the second top, each item's terms, is for choosing what to learn from.")
    rows = ", ".join(f"{x}.flatten(1)" for x in code.bottoms)
    return f"{code.function(smooth_l1)}({code.number(layer.sigma2)}, {rows})"


def l1_loss(code: Code, layer: Any) -> str:
    x, target = (f"{bottom}.flatten(1)" for bottom in code.bottoms)
    return f"({x} - {target}).abs().sum() / {code.bottoms[0]}.shape[0]"


def decode_bbox(code: Code, layer: Any) -> str:
    if len(code.bottoms) == 3 and not layer.of_classes:
        code.refuse("what is learned from objects is not exported: leave out the third bottom.")
    deltas, *others = (f"{bottom}.flatten(1)" for bottom in code.bottoms)
    scores = others[0] if layer.of_classes else "None"
    scaled = layer.std != [1.0] * 4 or any(layer.mean)
    given = [code.buffer(np.array(layer.std), "std"), code.buffer(np.array(layer.mean), "mean")] if scaled else []
    boxes = code.call(code.function(decoded_regions), deltas, scores, others[-1], *given)
    return f"{code.function(not_turned)}({boxes}) if self.training else {boxes}"


def deformable_convolution(code: Code, layer: Any) -> str:
    geometry = layer.geometry
    weight = code.parameter(code.blob(0), "weight")
    bias = code.parameter(code.blob(1), "bias") if len(layer.blobs) > 1 else None
    options: dict[str, Any] = {
        "stride": geometry.stride,
        "pad": geometry.pad,
        "dilation": geometry.dilation,
        "group": layer.group,
        "deformable_group": layer.deformable_group,
    }
    ordinary = {"stride": (1, 1), "pad": (0, 0), "dilation": (1, 1), "group": 1}
    options = {name: value for name, value in options.items() if value != ordinary.get(name)}
    return code.call(code.function(deformed_convolution), *code.bottoms, weight, bias, **options)


def decoded_regions(
    deltas: Tensor,
    scores: Tensor | None,
    regions: Tensor,
    std: Tensor | float = 1.0,
    mean: Tensor | float = 0.0,
) -> Tensor:
    """The boxes that regions become by the deltas of class 1, or of the last that scores more; no gradient."""
    with torch.no_grad():
        by_class = deltas.unflatten(1, (-1, 4))
        chosen = by_class[:, 1]
        if scores is not None:
            exceeds = (scores > scores[:, 1:2]) * torch.arange(scores.shape[1], device=scores.device)
            chosen = by_class[torch.arange(len(by_class), device=scores.device), exceeds.amax(1).clamp(min=1)]
        moved, grown = (chosen * std + mean).split(2, 1)
        image, first, last = regions.split((1, 2, 2), 1)
        extent = last - first + 1
        middle = (first + 0.5 * extent if scores is not None else 0.5 * (first + last)) + moved * extent
        reach = 0.5 * (extent * grown.exp() - float(scores is None))
        return torch.cat((image, middle - reach, middle + reach), 1)[..., None, None]


def not_turned(boxes: Tensor) -> Tensor:
    """Without those whose corners are turned round."""
    return boxes[(boxes[:, 1:3] <= boxes[:, 3:]).flatten(1).all(1)]


def deformed_convolution(
    x: Tensor,
    offsets: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: tuple[int, int] = (1, 1),
    pad: tuple[int, int] = (0, 0),
    dilation: tuple[int, int] = (1, 1),
    group: int = 1,
    deformable_group: int = 1,
) -> Tensor:
    """A convolution that reads at moved places: 0 outside of the map, and between its last pixel and the end the pixel.

    torchvision's goes to 0 over a pixel beyond the map instead.
    """
    number, channels, *size = x.shape
    rows, columns = weight.shape[2:]
    *_, height, width = offsets.shape
    moved = offsets.reshape(number, deformable_group, rows * columns, 2, height, width)
    element = torch.arange(rows * columns, device=x.device)[:, None, None]
    inside, before, after, share = [], [], [], []
    for axis, (kernel, length) in enumerate(((element // columns, height), (element % columns, width))):
        steps = torch.arange(length, device=x.device) * stride[axis] - pad[axis]
        at = moved[:, :, :, axis] + (kernel * dilation[axis] + (steps[:, None] if axis == 0 else steps))
        inside.append((at >= 0) & (at < size[axis]))
        at = torch.where(inside[axis], at, 0)
        before.append(at.detach().floor().long())
        after.append((before[axis] + 1).clamp(max=size[axis] - 1))
        share.append(at - before[axis])
    planes = x.reshape(number, deformable_group, channels // deformable_group, size[0] * size[1])
    read = x.new_zeros(())
    for row, down in ((before[0], 1 - share[0]), (after[0], share[0])):
        for column, across in ((before[1], 1 - share[1]), (after[1], share[1])):
            place = (row * size[1] + column).reshape(number, deformable_group, 1, -1)
            pixels = planes.gather(3, place.expand(-1, -1, planes.shape[2], -1))
            weights = down * across * (inside[0] & inside[1])
            read = read + pixels.unflatten(3, weights.shape[2:]) * weights.unsqueeze(2)
    read = read.reshape(number, channels, rows * columns, height * width)
    y = F.conv2d(read, weight.flatten(2).unsqueeze(3), bias, groups=group)
    return y.reshape(number, -1, height, width)


def smooth_l1(
    sigma2: float, x: Tensor, target: Tensor, inside: Tensor | float = 1.0, outside: Tensor | float = 1.0
) -> Tensor:
    """Squares of small differences and magnitudes of large ones, weighted inside and outside, over the images."""
    difference = (x - target) * inside
    distance = difference.abs()
    small = distance < 1 / sigma2
    errors = torch.where(small, 0.5 * sigma2 * difference * difference, distance - 0.5 / sigma2)
    return (errors * outside).sum() / x.shape[0]
