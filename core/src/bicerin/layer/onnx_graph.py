"""What a layer's function for ONNX is given: types alone, for packages to import under TYPE_CHECKING.

A package says what its layer is in ONNX with an entry point of the group `bicerin.onnx`, named after the layer's type:

    def relu(graph: Graph, layer: ReLULayer) -> Value:
        return graph.op("LeakyRelu", graph.bottoms[0], alpha=layer.negative_slope)

The function returns the values of the tops: one value, a sequence, or None for a layer that means nothing where the
net is only run. `bicerin-onnx` brings the graph; nothing of it is imported for the function. It is called at several
sizes of the net, and a size stays a variable where all of them give the same operations: write a Reshape to `[0, -1]`,
which copies and infers, rather than to `[8, 1024]`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NoReturn, Protocol


class Value(Protocol):
    """A blob, a constant, or what an operation makes; `shape` is None where no blob of the net has it."""

    name: str
    shape: tuple[int, ...] | None


class Graph(Protocol):
    """The place of one layer in the graph.

    Attributes:
        bottoms: the values that it reads, float32.
        tops: the shapes of those that it makes.
        opset: the version of ONNX's operators, 13 or later.
        keeps_losses: whether losses, and what compares with labels, are to be in the model.
        any_size: whether operations are preferred that are right at any size of the net, if they cost more: asked where
            what a function made at first depends on the size.
        remembers: whether a runtime computes the layer in a net, run after run: then it has a memory (`before`).
    """

    bottoms: tuple[Any, ...]
    tops: tuple[tuple[int, ...], ...]
    opset: int
    keeps_losses: bool
    any_size: bool
    remembers: bool

    def op(self, operator: str, *inputs: Any, outputs: int = 1, domain: str = "", **attributes: Any) -> Any:
        """Add an operation; the value that it makes, or a tuple of `outputs` values.

        Arrays and numbers among the inputs become constants, None an input that is left out.
        """

    def constant(self, value: Any) -> Any:
        """A constant: float32 of numbers with a point, int64 of whole ones."""

    def blob(self, index: int, shape: Sequence[int] | None = None) -> Any:
        """A learned blob of the layer's, in this shape where one is given."""

    def weights(self, index: int) -> Any:
        """The values of a learned blob, float64, to compute constants from."""

    def before(self, blob: Any) -> Any:
        """The values of a buffer of the layer's as the run before left them: a layer has memory where a runtime
        computes it in a net, and none in a model, where they are 0, with axes of 1 before the last, to be broadcast.
        """

    def after(self, blob: Any, value: Any) -> None:
        """Say what such a buffer, of which `before` was asked, holds after the run."""

    def reduce(self, kind: str, value: Any, axes: Sequence[int], keepdims: bool = True) -> Any:
        """ReduceSum, ReduceMean, ...; the axes' place changed between versions of ONNX."""

    def cast(self, value: Any, dtype: str = "float32") -> Any:
        """The value as float32, float64, int64, int32 or bool."""

    def sizes(self, value: Any, first: int, last: int) -> Any:
        """The sizes of the axes `first` to `last - 1` when the model runs: int64, shape (last - first,)."""

    def varies(self, top: int = 0, axis: int = 0) -> None:
        """Say that an axis of a top is as long as the data says when the model runs."""

    def refuse(self, sentence: str) -> NoReturn:
        """Say, in a sentence, what cannot be exported."""
