"""What the layers are in PyTorch, for bicerin-onnx."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bicerin.layer.torch_code import Code


def convolution(code: Code, layer: Any) -> list[str]:
    return _convolution(code, layer, "Conv")


def deconvolution(code: Code, layer: Any) -> list[str]:
    return _convolution(code, layer, "ConvTranspose")


def _convolution(code: Code, layer: Any, kind: str) -> list[str]:
    """One module, called for each pair of bottom and top."""
    geometry = layer.geometry
    axes = len(geometry.kernel)
    if axes > 3:
        code.refuse(f"nn.{kind}3d has the most spatial axes in PyTorch, 3; the layer has {axes}.")
    if 0 in geometry.dilation:
        code.refuse("PyTorch has no dilation of 0.")
    # Without spatial axes it is a convolution over one pixel.
    shape = layer.weight_shape()
    weights = code.blob(0, shape if axes else (*shape, 1))
    arrays = {"weight": weights} | ({"bias": code.blob(1)} if len(layer.blobs) > 1 else {})
    inputs = shape[1] * layer.group if kind == "Conv" else shape[0]
    outputs = shape[0] if kind == "Conv" else shape[1] * layer.group
    module = code.module(
        f"nn.{kind}{max(axes, 1)}d",
        inputs,
        outputs,
        code.one(geometry.kernel or (1,)),
        arrays=arrays,
        stride=_unless(code, geometry.stride, 1),
        padding=_unless(code, geometry.pad, 0),
        dilation=_unless(code, geometry.dilation, 1),
        groups=None if layer.group == 1 else layer.group,
        bias=None if len(layer.blobs) > 1 else False,
    )
    sums = [_applied(module, x, layer.axis, axes) for x in code.bottoms]
    slope = getattr(layer, "slope", None)
    if slope is None:
        return sums
    return [code.call("F.leaky_relu", one, float(slope)) if slope else f"F.relu({one})" for one in sums]


def _unless(code: Code, sizes: Any, usual: int) -> Any:
    return None if all(size == usual for size in sizes) else code.one(tuple(sizes))


def _applied(module: str, x: Any, axis: int, axes: int) -> str:
    """The module over the last axes; those before the channels as one batch."""
    pixel, whole = ("", "") if axes else (".unsqueeze(-1)", ".squeeze(-1)")
    if axis == 1:
        return f"{module}({x}{pixel}){whole}"
    joined = f"{x}.flatten(0, {axis - 1})" if axis else f"{x}.unsqueeze(0)"
    parted = f".unflatten(0, {x}.shape[:{axis}])" if axis else ".squeeze(0)"
    return f"{module}({joined}{pixel}){whole}{parted}"


def im2col(code: Code, layer: Any) -> str:
    geometry = layer.geometry
    (x,) = code.bottoms
    if len(geometry.kernel) != 2 or layer.axis != 1:
        code.refuse("F.unfold is for planes of 2 axes after one axis of images and one of channels.")
    columns = code.call(
        "F.unfold",
        x,
        code.one(geometry.kernel),
        dilation=_unless(code, geometry.dilation, 1),
        padding=_unless(code, geometry.pad, 0),
        stride=_unless(code, geometry.stride, 1),
    )
    return f"{columns}.unflatten(2, {tuple(code.tops[0][2:])})"


def local(code: Code, layer: Any) -> str:
    """The patches of each position times its weights."""
    geometry, (x,) = layer.geometry, code.bottoms
    positions = layer.output[0] * layer.output[1]
    columns = code.call(
        "F.unfold",
        x,
        code.one(geometry.kernel),
        padding=_unless(code, geometry.pad, 0),
        stride=_unless(code, geometry.stride, 1),
    )
    weight = code.parameter(code.blob(0, [layer.outputs, layer.depth, positions]), "weight")
    y = f'torch.einsum("nkp,mkp->nmp", {columns}, {weight})'
    if len(layer.blobs) > 1:
        y = f"({y} + {code.parameter(code.blob(1, [layer.outputs, positions]), 'bias')})"
    return f"{y}.unflatten(2, {tuple(layer.output)})"
