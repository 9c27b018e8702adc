"""Folding: what a layer multiplies and adds to each channel goes into the weights of the layer before it.

Only where nothing else reads what is between the two.
"""

from __future__ import annotations

import numpy as np

from bicerin_onnx.graph import Graph, Operation, Value

_PRODUCERS = {"Conv", "ConvTranspose", "Gemm"}
_Affine = tuple[np.ndarray, np.ndarray]


def fold(graph: Graph) -> None:
    """Fold BatchNormalization, Mul and Add by constants into Conv, ConvTranspose and Gemm; drop Identity."""
    while _drop_identity(graph) or _fold_one(graph):
        pass


def _drop_identity(graph: Graph) -> bool:
    readers = graph.readers()
    outputs = {id(value) for value in graph.outputs}
    makers = {id(value): operation for operation in graph.operations for value in operation.outputs}
    for operation in graph.operations:
        if operation.operator != "Identity" or operation.domain:
            continue
        source, made = operation.inputs[0], operation.outputs[0]
        assert source is not None
        if id(made) not in outputs:
            for reader in readers.get(id(made), []):
                reader.inputs = [source if value is made else value for value in reader.inputs]
        elif id(source) in makers and id(source) not in outputs and len(readers[id(source)]) == 1:
            maker = makers[id(source)]
            maker.outputs = [made if value is source else value for value in maker.outputs]
        else:
            continue
        graph.operations.remove(operation)
        return True
    return False


def _fold_one(graph: Graph) -> bool:
    readers = graph.readers()
    outputs = {id(value) for value in graph.outputs}
    makers = {id(value): operation for operation in graph.operations for value in operation.outputs}
    for operation in graph.operations:
        for value in operation.inputs:
            maker = makers.get(id(value))
            if maker is None or value is None or maker.operator not in _PRODUCERS or maker.domain:
                continue
            if id(value) in outputs or len(readers[id(value)]) > 1 or not _has_constant_weights(maker):
                continue
            affine = _affine(operation, value, maker)
            if affine is not None:
                _absorb(maker, *affine)
                maker.outputs = operation.outputs
                graph.operations.remove(operation)
                return True
    return False


def _has_constant_weights(operation: Operation) -> bool:
    return all(value is None or value.is_constant for value in operation.inputs[1:])


def _channels(operation: Operation) -> int:
    weights = operation.inputs[1]
    assert weights is not None and weights.shape is not None
    if operation.operator == "Gemm":
        return weights.shape[0 if operation.attributes.get("transB") else 1]
    if operation.operator == "Conv":
        return weights.shape[0]
    return weights.shape[1] * int(operation.attributes.get("group", 1))


def _affine(operation: Operation, value: Value, maker: Operation) -> _Affine | None:
    """What an operation multiplies each channel of `value` by, and what it adds; None where it does something else."""
    if operation.domain:
        return None
    channels = _channels(maker)
    others = [other for other in operation.inputs if other is not value]
    if any(other is None or not other.is_constant for other in others) or len(operation.outputs) != 1:
        return None
    arrays = [np.asarray(other.array, np.float64) for other in others if other is not None]
    if operation.operator == "BatchNormalization" and operation.inputs[0] is value:
        scale, shift, mean, variance = arrays
        scale = scale / np.sqrt(variance + operation.attributes["epsilon"])
        return scale, shift - mean * scale
    if operation.operator not in ("Mul", "Add") or len(arrays) != 1:
        return None
    weights = maker.inputs[1]
    assert weights is not None and weights.shape is not None
    axes = 2 if maker.operator == "Gemm" else len(weights.shape)
    array = arrays[0]
    if array.ndim > axes:
        return None
    shape = (1,) * (axes - array.ndim) + array.shape
    if shape[1] not in (1, channels) or any(size != 1 for i, size in enumerate(shape) if i != 1):
        return None
    values = np.broadcast_to(array.reshape(-1), (channels,))
    return (values, np.zeros(channels)) if operation.operator == "Mul" else (np.ones(channels), values)


def _absorb(maker: Operation, scale: np.ndarray, shift: np.ndarray) -> None:
    weights = maker.inputs[1]
    bias = maker.inputs[2] if len(maker.inputs) > 2 else None
    assert weights is not None
    array = np.asarray(weights.array, np.float64)
    if maker.operator == "Gemm":
        array = array * (scale[:, None] if maker.attributes.get("transB") else scale)
    elif maker.operator == "Conv":
        array = array * scale.reshape(-1, *[1] * (array.ndim - 1))
    else:
        groups = int(maker.attributes.get("group", 1))
        split = array.reshape(groups, array.shape[0] // groups, *array.shape[1:])
        array = (split * scale.reshape(groups, 1, -1, *[1] * (array.ndim - 2))).reshape(array.shape)
    offset = shift if bias is None else np.asarray(bias.array, np.float64) * scale + shift
    # A name of a weight that is no longer the net's would be misleading.
    maker.inputs = [
        maker.inputs[0],
        _constant(f"{maker.name}/weight_folded", array),
        _constant(f"{maker.name}/bias_folded", offset),
    ]


def _constant(name: str, array: np.ndarray) -> Value:
    array = array.astype(np.float32)
    return Value(name, array.shape, array)
