"""What is written in PyTorch's way: BatchNorm with its Scale as one module, ReLU that works in place."""

from __future__ import annotations

import re

from bicerin_onnx.graph import Graph
from bicerin_onnx.pytorch.expression import Expression, Part

#: Their gradients need no output, so that a ReLU may write over it.
_SPARES_OUTPUT = re.compile(r"nn\.(Conv|ConvTranspose|BatchNorm)[123]d|nn\.Linear")
_MODULE = re.compile(r"‹p0›\([^()]*(\(\d*\))?\)")
_SUM = re.compile(r"‹\d+›( \+ ‹\d+›)+")


def fold(graph: Graph) -> None:
    """Make a Scale with bias that alone reads a BatchNorm's top the `weight` and `bias` of the BatchNorm."""
    for scale in list(graph.operations):
        maker = _only_maker(graph, scale)
        if not isinstance(scale, Expression) or maker is None or scale.affine is None:
            continue
        weight, bias = scale.affine
        norm = maker.parts[0] if len(maker.parts) == 1 else None
        if weight is None or bias is None or norm is None or "affine=False" not in norm.arguments:
            continue
        channels = norm.arrays["running_mean"].shape
        values = [part.arrays[""] for part in (weight, bias)]
        axes = len(scale.outputs[0].shape or ())
        if any((value.shape or ())[:1] != channels or not _per_channel(value.shape or (), axes) for value in values):
            continue
        norm.arguments.remove("affine=False")
        for name, value in zip(("weight", "bias"), values, strict=True):
            value.shape = channels
            norm.arrays[name] = value
            maker.inputs.append(value)
        maker.outputs, maker.targets = scale.outputs, scale.targets
        maker.layers += scale.layers
        graph.operations.remove(scale)


def write_over(graph: Graph) -> None:
    """Let a ReLU that works in place in the net do so where PyTorch's gradients allow it."""
    for relu in graph.operations:
        maker = _only_maker(graph, relu)
        if isinstance(relu, Expression) and relu.in_place and relu.text == "F.relu(‹0›)" and maker is not None:
            plain = len(maker.parts) == 1 and _SPARES_OUTPUT.fullmatch(maker.parts[0].kind)
            if (plain and _MODULE.fullmatch(maker.text)) or _SUM.fullmatch(maker.text):
                relu.text = "F.relu(‹0›, inplace=True)"


def _only_maker(graph: Graph, operation: object) -> Expression | None:
    """What makes the input of an operation that alone reads it."""
    if not isinstance(operation, Expression) or not operation.inputs or operation.inputs[0] in graph.outputs:
        return None
    value = operation.inputs[0]
    if len(graph.readers().get(id(value), ())) != 1:
        return None
    found = next((one for one in graph.operations if any(made is value for made in one.outputs)), None)
    return found if isinstance(found, Expression) and len(found.outputs) == 1 else None


def _per_channel(shape: tuple[int, ...], axes: int) -> bool:
    """Whether it lies along axis 1 of a blob."""
    return len(shape) == axes - 1 and all(size == 1 for size in shape[1:])


def parts(graph: Graph) -> list[Part]:
    """The parts of all expressions, once each."""
    found = {id(part): part for one in graph.operations if isinstance(one, Expression) for part in one.parts}
    return list(found.values())
