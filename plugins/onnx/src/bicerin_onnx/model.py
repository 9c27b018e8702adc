"""From the graph to ONNX's own messages, checked, and to a file."""

from __future__ import annotations

import os
import sys
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

import bicerin
from bicerin.errors import NetError
from bicerin_onnx.graph import Graph, Value
from bicerin_onnx.hooks import hooks
from bicerin_proto import ProtoError, atomic_write

#: A message of protobuf holds less than 2 GiB; beyond this, weights go to a file of their own.
LARGEST = 2**31 - 2**24


def build(graph: Graph, name: str, opset: int, metadata: dict[str, str]) -> Any:
    """The ModelProto.

    Raises:
        NetError: it does not pass ONNX's checks.
    """
    from onnx import helper

    constants = {id(value): value for value in graph.values() if value.is_constant}
    made = [value for operation in graph.operations for value in operation.outputs]
    outputs = {id(value) for value in graph.outputs}
    model = helper.make_model(
        helper.make_graph(
            [
                helper.make_node(
                    operation.operator,
                    [value.name if value is not None else "" for value in operation.inputs],
                    [value.name for value in operation.outputs],
                    name=operation.name,
                    domain=operation.domain or None,
                    **{key: _attribute(value) for key, value in operation.attributes.items()},
                )
                for operation in graph.operations
            ],
            name or "net",
            [_info(value) for value in graph.inputs],
            [_info(value) for value in graph.outputs],
            [_tensor(value) for value in constants.values()],
            value_info=[_info(value) for value in made if value.is_blob and id(value) not in outputs],
        ),
        producer_name="bicerin",
        producer_version=bicerin.__version__,
    )
    domains = {operation.domain for operation in graph.operations} - {""}
    opsets = [helper.make_opsetid("", opset), *(helper.make_opsetid(domain, 1) for domain in sorted(domains))]
    del model.opset_import[:]
    model.opset_import.extend(opsets)
    model.ir_version = max(8, helper.find_min_ir_version_for([helper.make_opsetid("", opset)]))
    helper.set_model_props(model, metadata)
    if size_of(model) <= LARGEST:
        check(model, graph)
    return model


def check(model: Any, graph: Graph | None = None) -> None:
    """ONNX's own checks, of the model or of a file.

    Args:
        graph: what it was made of, to name the layer whose operation does not pass.

    Raises:
        NetError: it does not pass.
    """
    import onnx

    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise NetError(f"{_blamed(str(error), graph)}: {error}") from error


def _blamed(said: str, graph: Graph | None) -> str:
    if graph is not None:
        for operation in graph.operations:
            named = f"Name: {operation.name} OpType:" in said or f"node name: {operation.name})" in said
            if named and operation.layer in graph.layers:
                who = hooks.described(graph.layers[operation.layer])
                return f"{who} made a node {operation.operator} that does not pass ONNX's checks"
    return "the exported model does not pass ONNX's checks, which is a fault of an export function"


def size_of(model: Any) -> int:
    """The bytes of the model's weights, nearly all that it has."""
    return sum(len(tensor.raw_data) for tensor in model.graph.initializer)


def write(model: Any, path: str | PathLike[str], largest: int = LARGEST) -> Path:
    """Write the model atomically; weights beyond `largest` bytes go to a file beside it, named `.data`.

    Raises:
        ProtoError: it cannot be written.
    """
    import onnx

    path = Path(path)
    if size_of(model) <= largest:
        with atomic_write(path) as file:
            file.write(model.SerializeToString())
        return path
    copy = type(model)()
    copy.CopyFrom(model)
    data = path.with_name(path.name + ".data")
    with atomic_write(data) as file:
        for tensor in copy.graph.initializer:
            raw, start = tensor.raw_data, file.tell()
            file.write(raw)
            onnx.external_data_helper.set_external_data(tensor, data.name, start, len(raw))
            tensor.ClearField("raw_data")
            tensor.data_location = onnx.TensorProto.EXTERNAL
    with atomic_write(path) as file:
        file.write(copy.SerializeToString())
    check(os.fspath(path))
    return path


def require_writable(path: str | PathLike[str]) -> None:
    """Say early that a file cannot be written, before minutes are spent on what goes into it.

    Raises:
        ProtoError: it is a folder, or its folder is missing or read-only.
    """
    if Path(path).is_dir():
        raise ProtoError(f"{path}: cannot be written: it is a folder; name a file in it")
    folder = Path(path).resolve().parent
    if not folder.is_dir():
        raise ProtoError(f"{path}: cannot be written: there is no folder {folder}")
    if not os.access(folder, os.W_OK):
        raise ProtoError(f"{path}: cannot be written: the folder {folder} is read-only")


def _attribute(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        from onnx import numpy_helper

        return numpy_helper.from_array(value)
    if isinstance(value, (list, tuple)):
        return [_attribute(item) for item in value]
    if isinstance(value, np.generic):
        return value.item()
    return value


def _tensor(value: Value) -> Any:
    from onnx import numpy_helper

    array = value.array
    if sys.byteorder == "big":
        array = array.astype(array.dtype.newbyteorder("<"))
    return numpy_helper.from_array(np.ascontiguousarray(array).reshape(array.shape), value.name)


def _info(value: Value) -> Any:
    from onnx import TensorProto, helper

    return helper.make_tensor_value_info(
        value.name,
        TensorProto.UINT8 if value.is_image else TensorProto.FLOAT,
        value.dims if value.dims is not None else value.shape,
    )
