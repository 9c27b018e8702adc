"""What a layer's function is given: the graph, seen from one layer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NoReturn

import numpy as np

from bicerin.errors import LayerError
from bicerin.layer.blob import Blob
from bicerin_onnx.graph import Graph, Memory, Operation, Value


class LayerGraph:
    """Adds the operations of one layer. `bicerin.layer.onnx_graph` is what packages see of it.

    Attributes:
        bottoms: the values that the layer reads.
        tops: the shapes of what it makes.
        opset: the version of ONNX's operators that is written.
        keeps_losses: whether losses are to be in the model.
        any_size: whether operations are preferred that are right at any size of the net.
    """

    def __init__(
        self,
        graph: Graph,
        layer: Any,
        bottoms: Sequence[Value],
        tops: Sequence[tuple[int, ...]],
        opset: int,
        keeps_losses: bool = False,
    ) -> None:
        self._graph = graph
        self._layer = layer
        self._blobs: dict[tuple[int, tuple[int, ...]], Value] = {}
        self.bottoms = tuple(bottoms)
        self.tops = tuple(tops)
        self.opset = opset
        self.keeps_losses = keeps_losses
        self.any_size = False
        #: Whether what the layer keeps from one run to the next is given to the model, and taken from it.
        self.remembers = False
        self._before: dict[int, tuple[Blob, Value]] = {}
        self._after: dict[int, Value] = {}
        #: Top -> its axis that is as long as the data says.
        self.varying: dict[int, int] = {}

    def op(self, operator: str, *inputs: Any, outputs: int = 1, domain: str = "", **attributes: Any) -> Any:
        """Add an operation; the value that it makes, or a tuple of `outputs` values.

        Arrays and numbers among the inputs become constants, None an input that is left out. An attribute that is
        None is left out.
        """
        made = [Value() for _ in range(outputs)]
        given = [self._as_value(value) for value in inputs]
        while given and given[-1] is None:
            given.pop()
        attributes = {name: value for name, value in attributes.items() if value is not None}
        self._graph.operations.append(Operation(operator, given, made, attributes, self._layer.name, domain))
        return made[0] if outputs == 1 else tuple(made)

    def mark(self) -> int:
        """A place in the graph to go back to."""
        return len(self._graph.operations)

    def go_back(self, mark: int) -> None:
        """Take back the operations that were added since."""
        del self._graph.operations[mark:]

    def constant(self, value: Any) -> Value:
        """A constant: float32 of numbers with a point, int64 of whole ones."""
        array = np.array(value)
        if array.dtype.kind == "f":
            array = array.astype(np.float32)
        elif array.dtype.kind in "iu":
            array = array.astype(np.int64)
        return Value(shape=array.shape, source=array)

    def blob(self, index: int, shape: Sequence[int] | None = None) -> Value:
        """A learned blob of the layer's, in this shape where one is given."""
        blob = self._layer.blobs[index].blob
        key = (index, tuple(shape) if shape is not None else blob.shape)
        if key not in self._blobs:
            self._blobs[key] = Value(f"{self._layer.name}/{index}", key[1], blob)
        return self._blobs[key]

    def weights(self, index: int) -> np.ndarray:
        """The values of a learned blob, float64, to compute constants from."""
        blob: Blob = self._layer.blobs[index].blob
        return np.array(blob.read_only.data, np.float64)

    def before(self, blob: Any) -> Value:
        """The values of a buffer of the layer's, as the run before left them; 0 in a model without memory."""
        blob = blob.blob
        if not self.remembers:
            return self.constant(np.zeros((1,) * (len(blob.shape) - 1) + blob.shape[-1:]))
        if id(blob) not in self._before:
            value = Value(f"{self._layer.name}/{blob.name}", blob.shape)
            value.is_blob = True
            self._graph.inputs.append(value)
            self._before[id(blob)] = blob, value
        return self._before[id(blob)][1]

    def after(self, blob: Any, value: Value) -> None:
        """Say what such a buffer holds after the run."""
        self._after[id(blob.blob)] = value

    def memories(self) -> list[Memory]:
        found = []
        for key, (blob, before) in self._before.items():
            after = self.op("Identity", self._after[key])
            after.name, after.shape, after.is_blob = f"{before.name}/after", blob.shape, True
            found.append(Memory(blob, before, after))
        return found

    def reduce(self, kind: str, value: Value, axes: Sequence[int], keepdims: bool = True) -> Value:
        """Reduce: kind is Sum, Mean, Max, L1, SumSquare, ...; the axes' place changed between versions of ONNX."""
        reduced: Value
        if kind == "L1":  # whose axes OpenVINO does not read from the attribute: it reduces all
            return self.reduce("Sum", self.op("Abs", value), axes, keepdims)
        if self.opset >= (13 if kind == "Sum" else 18):
            reduced = self.op(f"Reduce{kind}", value, list(axes), keepdims=int(keepdims))
        else:
            reduced = self.op(f"Reduce{kind}", value, axes=list(axes), keepdims=int(keepdims))
        return reduced

    def cast(self, value: Value, dtype: str = "float32") -> Value:
        """The value in another type: float32, float64, int64, int32, bool."""
        number = {"float32": 1, "int32": 6, "int64": 7, "bool": 9, "float64": 11}[dtype]
        result: Value = self.op("Cast", value, to=number)
        return result

    def sizes(self, value: Value, first: int, last: int) -> Value:
        """The sizes of the axes `first` to `last - 1` when the model runs: int64, shape (last - first,)."""
        sizes: Value = self.op("Slice", self.op("Shape", value), [first], [last], [0])
        return sizes

    def varies(self, top: int = 0, axis: int = 0) -> None:
        """Say that an axis of a top is as long as the data says when the model runs."""
        self.varying[top] = axis

    def refuse(self, sentence: str) -> NoReturn:
        """Say what ONNX cannot do, or what is not written yet."""
        raise LayerError(sentence)

    def _as_value(self, value: Any) -> Value | None:
        return value if value is None or isinstance(value, Value) else self.constant(value)
