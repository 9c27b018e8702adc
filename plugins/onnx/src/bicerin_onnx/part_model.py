"""A part of a net as a model: what a runtime compiles."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bicerin.layer.blob import Blob
from bicerin.net.runtime import Part
from bicerin_onnx import model as models
from bicerin_onnx.folding import fold
from bicerin_onnx.graph import Dim, Memory
from bicerin_onnx.sizes import Sizes
from bicerin_onnx.source import Source
from bicerin_onnx.tracing import Tracer

#: The operators that the model is written in.
OPSET = 17


class PartModel:
    """The model of a part, and which blobs its inputs and outputs are.

    Args:
        part: its blobs keep the values that they have.
        any_size: let sizes be variables where every layer allows it; otherwise all are those of now.

    Attributes:
        proto: the `onnx.ModelProto`.
        inputs: the places of its inputs among the part's; inputs that no operation reads are not there.
        memories: what layers keep from one run to the next: the model's inputs and outputs after those of the part.
        varies: for each output, whether its size depends on data.
    """

    def __init__(self, part: Part, any_size: bool) -> None:
        nodes: list[Any] = [*(Source(part.blob(name), name) for name in part.inputs), *part.nodes]
        tracer = Tracer(nodes, OPSET, end=part.outputs, remembers=True)
        inputs = [(name, part.blob(name)) for name in part.inputs]
        graph = Sizes(tracer, inputs).trace(any_size)
        fold(graph)
        self.proto: Any = models.build(graph, part.nodes[0].name, OPSET, {})
        self.memories: list[Memory] = graph.memories
        remembered = {id(memory.before) for memory in graph.memories}
        given = [value for value in graph.inputs if id(value) not in remembered]
        self.inputs = [part.inputs.index(value.name) for value in given]
        self.names = [value.name for value in given]
        self.outputs = [value.name for value in graph.outputs[: len(part.outputs)]]
        self.varies = [value.varies is not None for value in graph.outputs[: len(part.outputs)]]
        self._dims: list[Sequence[Dim]] = [tuple(blob.shape) for _, blob in inputs]
        for place, value in zip(self.inputs, given, strict=True):
            self._dims[place] = value.dims or value.shape or ()

    def fits(self, bottom: Sequence[Blob]) -> bool:
        """Whether it is right for inputs of these shapes."""
        sizes: dict[str, int] = {}
        for dims, blob in zip(self._dims, bottom, strict=True):
            if len(dims) != blob.num_axes:
                return False
            for dim, size in zip(dims, blob.shape, strict=True):
                if size != (sizes.setdefault(dim, size) if isinstance(dim, str) else dim):
                    return False
        return True
