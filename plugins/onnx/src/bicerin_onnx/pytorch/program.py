"""A module of PyTorch with its weights: text and arrays, to be written, or run."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from bicerin.errors import NetError
from bicerin_onnx.graph import Dim, Graph
from bicerin_onnx.model import require_writable
from bicerin_onnx.pytorch.source import Source
from bicerin_proto import atomic_write
from bicerin_proto.quotation import printable


@dataclass
class Program:
    """What `export` makes.

    Attributes:
        source: the text of the Python file.
        tensors: parameters and buffers by their names in the module's `state_dict`.
        class_name: of the module.
        inputs: the shapes of its inputs by blob; a name is a size that may change.
        loss_weights: of its outputs that are losses.
    """

    source: str
    tensors: dict[str, np.ndarray]
    class_name: str
    inputs: dict[str, tuple[Dim, ...]]
    loss_weights: dict[str, float]
    _watched: str
    _blobs: tuple[str, ...]

    @classmethod
    def of(cls, graph: Graph, name: str, loss_weights: dict[str, float]) -> Program:
        source = Source(graph, name, loss_weights)
        inputs = {value.name: value.dims if value.dims is not None else value.shape or () for value in graph.inputs}
        blobs = tuple(value.name for line in graph.operations for value in line.outputs)
        return cls(
            source.text(), source.tensors, source.class_name, inputs, loss_weights, source.text(watched=True), blobs
        )

    @property
    def blobs(self) -> tuple[str, ...]:
        """The blobs that can be compared with the net's."""
        return self._blobs

    def calls(self) -> tuple[str, ...]:
        """The modules, functions, methods and operators that the module uses, each once."""
        tree = next(node for node in ast.parse(self.source).body if isinstance(node, ast.ClassDef))
        found: dict[str, None] = {}
        for node in ast.walk(tree):
            if isinstance(node, ast.BinOp):
                found[_OPERATORS[type(node.op)]] = None
            elif isinstance(node, ast.Compare):
                found["comparison"] = None
            elif isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name) and node.value.id != "dict":
                found["indexing"] = None
            elif isinstance(node, ast.Call):
                name = ast.unparse(node.func)
                if isinstance(node.func, ast.Attribute) and not _is_library(node.func.value):
                    name = "" if name.startswith("self.") else f".{node.func.attr}"
                found[name] = None
        ours = ("", "super", ".__init__", "torch.zeros")
        return tuple(name for name in found if name not in ours)

    def module(self) -> Any:
        """The `torch.nn.Module`, in eval mode.

        Raises:
            NetError: torch or safetensors is not installed.
        """
        return self._made(self.source)

    def run(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Every blob that the module makes of these inputs.

        Raises:
            NetError: torch or safetensors is not installed, or PyTorch cannot run the module on them.
        """
        module = self._made(self._watched)
        import torch

        try:
            with torch.inference_mode():
                module(*(torch.from_numpy(np.ascontiguousarray(inputs[name])) for name in self.inputs))
        except (RuntimeError, ValueError, IndexError) as error:
            raise NetError(f"PyTorch cannot run the module: {printable(error)}") from error
        return {name: value.numpy() for name, value in module.seen.items()}

    def write(self, path: str | PathLike[str]) -> Path:
        """Write the Python file, and the weights beside it, named `.safetensors`; each atomically.

        Raises:
            NetError: the name does not end with .py, or safetensors is not installed.
            ProtoError: a file cannot be written.
        """
        path = python_file(path)
        require_writable(path)
        try:
            from safetensors.numpy import save
        except ImportError as error:
            raise NetError(_MISSING.format("safetensors")) from error
        with atomic_write(path.with_suffix(".safetensors")) as file:
            file.write(save({name: np.ascontiguousarray(array) for name, array in self.tensors.items()}))
        with atomic_write(path) as file:
            file.write(self.source.encode())
        return path

    def _made(self, source: str) -> Any:
        try:
            import safetensors.torch  # noqa: F401
            import torch
        except ImportError as error:
            raise NetError(_MISSING.format(error.name)) from error
        # The text is the exporter's: of a net there are only numbers and names in it, which are made identifiers.
        place = ModuleType("bicerin_exported")
        place.__file__ = "net.py"
        exec(compile(source, "<exported>", "exec"), place.__dict__)
        module = getattr(place, self.class_name)()
        module.load_state_dict({name: torch.from_numpy(array.copy()) for name, array in self.tensors.items()})
        return module.eval()


def _is_library(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id in ("nn", "F", "torch")


_OPERATORS = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.Pow: "**", ast.MatMult: "@"}
_MISSING = (
    "{} is not installed, which a net needs to be written and run as a module of PyTorch: "
    "pip install 'bicerin-onnx[torch]'"
)


def python_file(path: str | PathLike[str]) -> Path:
    """The path, if it names a Python file.

    Raises:
        NetError: it does not.
    """
    path = Path(path)
    if path.suffix != ".py":
        raise NetError(f"{path}: a module of PyTorch is a Python file: give it a name that ends with .py.")
    return path
