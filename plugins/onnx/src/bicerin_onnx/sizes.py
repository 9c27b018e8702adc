"""Which sizes may change: the net is traced at several, and a size is a variable where the operations stay the same.

So no layer's function needs to know of variables. One that bakes a size into a constant or an attribute fixes it, and
a line in the log names the layer.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction

from bicerin.errors import BicerinError
from bicerin.layer.blob import Blob
from bicerin_onnx.graph import Dim, Graph, Value
from bicerin_onnx.kept import kept
from bicerin_onnx.tracing import Tracer

_log = logging.getLogger("bicerin.onnx")

#: How much larger a height or width is tried: layers see it through strides of up to 64, and each kind of remainder.
_STEPS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64)
_MEANING = {"N": "batch size", "R": "number of rows", "H": "height", "W": "width"}


class Sizes:
    """The inputs of a net, to be traced at other sizes.

    Args:
        tracer: of the layers.
        inputs: the blobs that the model will take, with their names.
    """

    def __init__(self, tracer: Tracer, inputs: Sequence[tuple[str, Blob]]) -> None:
        self.tracer = tracer
        self.inputs = list(inputs)
        #: Of one trace: what is to be said, how many sizes stay, and whether one does since operations depend on it.
        self.said: list[str] = []
        self.fixed, self.depends = 0, False

    def trace(self, dynamic: bool) -> Graph:
        """The graph at the present sizes, with names for those that may change.

        Layers that have another form for any size are asked for it where that makes more sizes variable. Their blobs
        are as they were afterwards.
        """
        with kept(self.tracer.nodes):
            graph = self._trace(dynamic)
            if self.depends:
                fixed, said = self.fixed, self.said
                self.tracer.any_size = True
                other = self._trace(dynamic)
                if self.fixed < fixed:
                    graph = other
                else:
                    self.tracer.any_size = False
                    self.said = said
        for line in self.said:
            _log.info("%s", line)
        return graph

    def _trace(self, dynamic: bool) -> Graph:
        self.said, self.fixed, self.depends = [], 0, False
        graph = self.tracer.trace()
        values = [value for value in graph.values() if value.is_blob]
        dims: dict[int, list[Dim]] = {id(value): list(value.shape or ()) for value in values}
        if dynamic and self.inputs:
            for symbol, choices in self._variables():
                said = list(self.said)
                if any(self._vary(graph, values, symbol, axes, dims) for axes in choices):
                    self.said = said
                else:
                    self.fixed += 1
        number = 0
        for value in values:
            named = dims[id(value)]
            if value.varies is not None and value.varies < len(named):
                named[value.varies] = f"K{number}" if number else "K"
                number += 1
            value.dims = tuple(named)
        return graph

    def _variables(self) -> Iterator[tuple[str, list[list[tuple[Blob, int]]]]]:
        """A symbol for each size to try, and the axes of the inputs that may have it: the first that do."""
        blobs = [blob for _, blob in self.inputs]
        first = next((blob for blob in blobs if blob.num_axes), None)
        if first is None:
            return
        batch = [(blob, 0) for blob in blobs if blob.num_axes and blob.shape[0] == first.shape[0]]
        # Recurrent layers have time first, of a fixed number of steps, and then the batch.
        streams = [(blob, 1) for blob in blobs if blob.num_axes > 1 and blob.shape[1:2] == first.shape[1:2]]
        # An input that is the same at every step has the batch first.
        static = [
            (blob, 0) for blob in blobs if blob.shape[:1] == first.shape[1:2] and blob.shape[:2] != first.shape[:2]
        ]
        static = [one for one in static if one[0] not in [blob for blob, _ in streams]]
        choices = [batch, [*streams, *static], streams] if static else [batch, streams]
        yield "N", choices if first.num_axes > 1 and first.num_axes != 4 else [batch]
        # Such as regions, of which there are many an image.
        others = [(blob, 0) for blob in blobs if blob.num_axes and blob.shape[0] != first.shape[0]]
        if others:
            size = others[0][0].shape[0]
            yield "R", [[(blob, 0) for blob, _ in others if blob.shape[0] == size]]
        image = next((blob for blob in blobs if blob.num_axes == 4), None)
        if image is not None:
            for symbol, axis in (("H", 2), ("W", 3)):
                alike = [b for b in blobs if b.num_axes == 4 and b.shape[2:] == image.shape[2:]]
                yield symbol, [[(blob, axis) for blob in alike]]

    def _vary(
        self,
        graph: Graph,
        values: list[Value],
        symbol: str,
        axes: Sequence[tuple[Blob, int]],
        dims: dict[int, list[Dim]],
    ) -> bool:
        """Name the sizes that change with one variable, if the operations do not."""
        blob, axis = axes[0]
        present = blob.shape[axis]
        steps = _STEPS if symbol in ("H", "W") else (1, present + 1)
        seen: list[list[tuple[int, ...]]] = []
        for step in steps:
            try:
                with self._sizes(axes, present + step):
                    other = self.tracer.trace()
            except BicerinError as error:
                reason = str(error).partition("\n")[0]
                self.said.append(f"the {_MEANING[symbol]} stays {present}: {reason}")
                return False
            layer = graph.difference(other)
            if layer is not None:
                self.said.append(f'the {_MEANING[symbol]} stays {present}: layer "{layer}" depends on it')
                self.depends = True
                return False
            shapes = {value.name: value.shape or () for value in other.values() if value.is_blob}
            seen.append([shapes[value.name] for value in values])
        names: dict[tuple[int, ...], str] = {}
        sizes = [present, *(present + step for step in steps)]
        for index, value in enumerate(values):
            for i, size in enumerate(value.shape or ()):
                found = (size, *(shapes[index][i] for shapes in seen))
                if len(set(found)) > 1:
                    if found not in names:
                        names[found] = _expression(symbol, sizes, found) or f"{symbol}_{value.name}"
                    dims[id(value)][i] = names[found]
        return True

    @contextmanager
    def _sizes(self, axes: Sequence[tuple[Blob, int]], size: int) -> Iterator[None]:
        """The net with another size of its inputs while the block runs."""
        before = [(blob, blob.shape) for blob, _ in axes]
        try:
            for blob, axis in axes:
                blob.reshape(*blob.shape[:axis], size, *blob.shape[axis + 1 :])
            self._reshape()
            yield
        finally:
            for blob, shape in before:
                blob.reshape(*shape)
            self._reshape()

    def _reshape(self) -> None:
        for i, node in enumerate(self.tracer.nodes):
            # What is left out may have labels to go with, which keep their sizes.
            if i in self.tracer.active and not self.tracer.is_source(i) and i not in self.tracer.left_out:
                node.reshape()


def _expression(symbol: str, sizes: Sequence[int], found: Sequence[int]) -> str | None:
    """`found` as a multiple of the size plus a number; None where it is not one."""
    slope = Fraction(found[1] - found[0], sizes[1] - sizes[0])
    offset = found[0] - slope * sizes[0]
    if slope.denominator != 1 or any(slope * size + offset != value for size, value in zip(sizes, found, strict=True)):
        return None
    text = symbol if slope == 1 else f"{slope}*{symbol}"
    return text if not offset else f"{text}{'+' if offset > 0 else '-'}{abs(offset)}"
