"""The graph that is exported, before it is ONNX: small enough to be compared, folded and renamed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from bicerin.layer.blob import Blob

#: A size, or the name of one that may change.
Dim = int | str


class Value:
    """What flows between operations.

    Attributes:
        name: in the model; given when the graph is complete.
        shape: at the sizes that the net has now; None where nobody said.
        dims: the shape as the model states it, with names for sizes that may change; None for `shape`.
        dtype: "float32" for everything that is a blob in the net.
        source: for a constant, the array, or the blob that holds it.
    """

    def __init__(
        self, name: str = "", shape: tuple[int, ...] | None = None, source: np.ndarray | Blob | None = None
    ) -> None:
        self.name = name
        self.shape = shape
        self.dims: tuple[Dim, ...] | None = None
        self.source = source
        self.is_blob = False
        #: Whether it is an input of uint8.
        self.is_image = False
        #: The axis that is as long as the data says, when the model runs.
        self.varies: int | None = None

    def __repr__(self) -> str:
        return f"Value({self.name!r}, {self.shape})"

    @property
    def dtype(self) -> str:
        return str(self.source.dtype) if isinstance(self.source, np.ndarray) else "float32"

    @property
    def is_constant(self) -> bool:
        return self.source is not None

    @property
    def array(self) -> np.ndarray:
        """A constant's values: float32 for a blob of the net."""
        if isinstance(self.source, Blob):
            return np.asarray(self.source.read_only.data, np.float32).reshape(self.shape or ())
        assert self.source is not None
        return self.source

    def equals(self, other: Value) -> bool:
        """Whether two constants hold the same."""
        if isinstance(self.source, Blob):
            return self.source is other.source and self.shape == other.shape
        if isinstance(other.source, Blob) or self.source is None or other.source is None:
            return False
        return self.source.dtype == other.source.dtype and np.array_equal(self.source, other.source, equal_nan=True)


@dataclass(eq=False)
class Operation:
    """One node of the model, and the layer that it stands for. An input that is left out is None."""

    operator: str
    inputs: list[Value | None]
    outputs: list[Value]
    attributes: dict[str, Any]
    layer: str
    domain: str = ""
    name: str = ""


@dataclass(frozen=True)
class Memory:
    """What a layer keeps from one run to the next: its values before a run are an input, those after it an output."""

    blob: Blob
    before: Value
    after: Value


@dataclass(eq=False)
class Graph:
    """Operations in the order in which they run."""

    inputs: list[Value] = field(default_factory=list)
    outputs: list[Value] = field(default_factory=list)
    operations: list[Operation] = field(default_factory=list)
    memories: list[Memory] = field(default_factory=list)
    #: The layers by the names that operations have, for errors.
    layers: dict[str, Any] = field(default_factory=dict)

    def values(self) -> Iterator[Value]:
        """Every value once, constants included."""
        seen: set[int] = set()
        lists: list[Sequence[Value | None]] = [self.inputs]
        for operation in self.operations:
            lists += [operation.inputs, operation.outputs]
        for value in (value for values in lists for value in values):
            if value is not None and id(value) not in seen:
                seen.add(id(value))
                yield value

    def readers(self) -> dict[int, list[Operation]]:
        """The operations that read a value, by the value's id; once for each time."""
        found: dict[int, list[Operation]] = {}
        for operation in self.operations:
            for value in operation.inputs:
                if value is not None:
                    found.setdefault(id(value), []).append(operation)
        return found

    def prune(self) -> None:
        """Drop the operations that lead to no output, and the inputs that nothing reads."""
        wanted = {id(value) for value in self.outputs}
        kept: list[Operation] = []
        for operation in reversed(self.operations):
            if any(id(value) in wanted for value in operation.outputs):
                kept.append(operation)
                wanted.update(id(value) for value in operation.inputs if value is not None)
        self.operations = kept[::-1]
        self.inputs = [value for value in self.inputs if id(value) in wanted]

    def difference(self, other: Graph) -> str | None:
        """The layer of the first operation that is not the same in both; None where there is none."""
        for mine, theirs in zip(self.operations, other.operations, strict=False):
            if not _same(mine, theirs):
                return mine.layer
        if len(self.operations) != len(other.operations):
            longer = max(self.operations, other.operations, key=len)
            return longer[min(len(self.operations), len(other.operations))].layer
        return None


def _same(one: Operation, other: Operation) -> bool:
    if (one.operator, one.domain, len(one.inputs), len(one.outputs)) != (
        other.operator,
        other.domain,
        len(other.inputs),
        len(other.outputs),
    ):
        return False
    if one.attributes.keys() != other.attributes.keys():
        return False
    for key, value in one.attributes.items():
        if not np.array_equal(value, other.attributes[key]):
            return False
    for mine, theirs in zip(one.inputs, other.inputs, strict=True):
        if mine is None or theirs is None:
            if mine is not theirs:
                return False
        elif mine.is_constant:
            if not theirs.is_constant or not mine.equals(theirs):
                return False
        elif mine.name != theirs.name:
            return False
    return True
