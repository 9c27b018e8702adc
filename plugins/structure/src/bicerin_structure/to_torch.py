"""What the layers are in PyTorch, for bicerin-onnx."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from bicerin.layer.torch_code import Code


def concat(code: Code, layer: Any) -> str:
    if len(code.bottoms) == 1:
        return str(code.bottoms[0])
    return f"torch.cat(({', '.join(map(str, code.bottoms))}), {layer.axis})"


def slice_(code: Code, layer: Any) -> str:
    if len(code.tops) == 1:
        return str(code.bottoms[0])
    return code.call("torch.split", code.bottoms[0], [shape[layer.axis] for shape in code.tops], layer.axis)


def flatten(code: Code, layer: Any) -> str:
    (x,) = code.bottoms
    axes = len(x.shape)
    first, last = (axis % axes for axis in (layer.param.flatten_param.axis, layer.param.flatten_param.end_axis))
    if first > last:  # an axis of 1 between the two
        return f"{x}.unsqueeze({first})"
    return f"{x}.flatten({first})" if last == axes - 1 else f"{x}.flatten({first}, {last})"


def reshape(code: Code, layer: Any) -> str:
    (x,) = code.bottoms
    param = layer.param.reshape_param
    axes = len(x.shape)
    start = param.axis if param.axis >= 0 else axes + param.axis + 1
    end = axes if param.num_axes == -1 else start + param.num_axes
    # A 0 copies the size at the same place.
    dims = [dim if dim else f"{x}.shape[{start + place}]" for place, dim in enumerate(param.shape.dim)]
    before = [f"{x}.shape[{axis}]" for axis in range(start)]
    after = [f"{x}.shape[{axis}]" for axis in range(end, axes)]
    return code.call(f"{x}.reshape", *before, *dims, *after) if axes or dims else f"{x}.reshape(())"


def eltwise(code: Code, layer: Any) -> str:
    param = layer.param.eltwise_param
    terms = list(map(str, code.bottoms))
    if param.operation == param.MAX:
        greatest = terms[0]
        for term in terms[1:]:
            greatest = f"torch.maximum({greatest}, {term})"
        return greatest
    if param.EltwiseOp.Name(param.operation) == "SORT":
        return " * ".join(f"(1 + {term})" for term in terms)
    if param.operation == param.PROD:
        return " * ".join(terms)
    if param.coeff:
        terms = [
            x if factor == 1 else f"{code.number(factor)} * {x}" for x, factor in zip(terms, param.coeff, strict=True)
        ]
    return " + ".join(terms)


def crop(code: Code, layer: Any) -> str:
    """The size is asked of the second bottom when the module runs, so that it may change."""
    x, reference = code.bottoms
    parts = [":"] * layer.first
    for axis, offset in enumerate(layer.offsets, start=layer.first):
        size = f"{reference}.shape[{axis}]"
        parts.append(f"{offset} : {offset} + {size}" if offset else f": {size}")
    return f"{x}[{', '.join(parts)}]"


def switch(code: Code, layer: Any) -> str:
    return str(code.bottoms[-1])


def tile(code: Code, layer: Any) -> str:
    (x,) = code.bottoms
    repeats = [1] * len(x.shape)
    repeats[layer.param.tile_param.axis % len(x.shape)] = layer.tiles
    return code.call(f"{x}.repeat", *repeats)


def reduction(code: Code, layer: Any) -> str:
    (x,) = code.bottoms
    param = layer.param.reduction_param
    first = param.axis % len(x.shape)
    values = {param.ASUM: f"{x}.abs()", param.SUMSQ: f"({x} * {x})"}.get(param.operation, str(x))
    kind = "mean" if param.operation == param.MEAN else "sum"
    axes = tuple(range(first, len(x.shape)))
    y = f"{values}.{kind}({axes if first else ''})"
    return y if param.coeff == 1 else f"{code.number(param.coeff)} * {y}"


def argmax(code: Code, layer: Any) -> str:
    (x,) = code.bottoms
    if layer.axis is not None:
        places, values = _largest(code, x, layer.axis, layer.top_k)
        return values if layer.out_max_val else places
    rows = f"{x}.flatten(1)" if x.shape else f"{x}.reshape(1, 1)"
    places, values = _largest(code, rows, 1, layer.top_k)
    y = f"torch.stack(({places}, {values}), 1)" if layer.out_max_val else f"{places}.unsqueeze(1)"
    ones = len(code.tops[0]) - 3
    return f"{y}[{', '.join(['...', *['None'] * ones])}]" if ones > 0 else y


def _largest(code: Code, x: Any, axis: int, number: int) -> tuple[str, str]:
    function = code.function(largest)
    return code.call(f"{function}", x, axis, number), f"{code.call('torch.topk', x, number, axis)}[0]"


def largest(x: Tensor, axis: int, number: int) -> Tensor:
    """Where the greatest values along an axis are, the greatest first; of equal ones, the later index first."""
    places = torch.sort(x.flip(axis), dim=axis, descending=True, stable=True).indices
    return (x.shape[axis] - 1 - places.narrow(axis, 0, number)).to(x.dtype)


def batch_reindex(code: Code, layer: Any) -> str:
    x, indices = code.bottoms
    return f"{x}[{indices}.long()]"


def filter_(code: Code, layer: Any) -> list[str]:
    *items, selector = code.bottoms
    for index in range(len(items)):
        code.varies(index)
    return [f"{x}[{selector}.flatten() != 0]" for x in items]


def parameter(code: Code, layer: Any) -> str:
    return f"{code.parameter(code.blob(0), '')} * 1"


def silence(code: Code, layer: Any) -> list[str]:
    """It has no tops, and what it reads is no output of the net."""
    return []
