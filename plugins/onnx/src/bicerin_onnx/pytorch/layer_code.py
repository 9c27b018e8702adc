"""What a layer's function is given: the module, seen from one layer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import isinf, isnan
from typing import Any, NoReturn

import numpy as np

from bicerin.errors import LayerError
from bicerin.layer.blob import Blob
from bicerin_onnx.graph import Graph, Value
from bicerin_onnx.pytorch.expression import Expression, Part, input_of, part_of


@dataclass(frozen=True)
class Bottom:
    """A blob that a layer reads."""

    shape: tuple[int, ...]
    text: str

    def __str__(self) -> str:
        return self.text


class LayerCode:
    """Collects what one layer is. `bicerin.layer.torch_code` is what packages see of it.

    Attributes:
        bottoms: the blobs that the layer reads.
        tops: the shapes of what it makes.
        keeps_losses: whether losses are to be in the module.
    """

    def __init__(
        self,
        graph: Graph,
        layer: Any,
        bottoms: Sequence[Value],
        tops: Sequence[tuple[int, ...]],
        targets: Sequence[str],
        keeps_losses: bool = False,
        in_place: bool = False,
    ) -> None:
        self._graph = graph
        self._layer = layer
        self._values = list(bottoms)
        self._targets = list(targets)
        self._in_place = in_place
        self._parts: list[Part] = []
        self._functions: list[Callable[..., Any]] = []
        self._affine: tuple[Part | None, Part | None] | None = None
        self.bottoms = tuple(Bottom(value.shape or (), input_of(place)) for place, value in enumerate(bottoms))
        self.tops = tuple(tops)
        self.keeps_losses = keeps_losses
        #: Top -> its axis that is as long as the data says.
        self.varying: dict[int, int] = {}

    def call(self, function: str, *arguments: Any, **options: Any) -> str:
        """A call: numbers and tuples are written as Python has them, blobs and other texts stand as they are.

        An option that is None is left out.
        """
        return f"{function}({', '.join(self._arguments(arguments, options))})"

    def number(self, value: float) -> str:
        """A number as text: the shortest that gives the same float32."""
        if isinf(value) or isnan(value):
            return f'float("{float(value)}")'
        return str(np.float32(value))

    def one(self, sizes: Sequence[int]) -> Any:
        """One number where all sizes are the same; else the tuple."""
        return sizes[0] if len(set(sizes)) == 1 else tuple(sizes)

    def module(
        self, kind: str, *arguments: Any, arrays: Mapping[str, Any] | None = None, suffix: str = "", **options: Any
    ) -> str:
        """Give the module a part, `self.<layer>`; the text that stands for it."""
        given = {name: self._as_value(array) for name, array in (arrays or {}).items()}
        return self._part(Part(kind, self._arguments(arguments, options), given, self._layer.name, suffix))

    def parameter(self, value: Any, suffix: str) -> str:
        """Give the module a parameter, `self.<layer>_<suffix>`."""
        return self._part(Part("parameter", [], {"": self._as_value(value)}, self._layer.name, suffix))

    def buffer(self, value: Any, suffix: str) -> str:
        """Give the module a buffer, `self.<layer>_<suffix>`."""
        return self._part(Part("buffer", [], {"": self._as_value(value)}, self._layer.name, suffix))

    def scaled(self, x: Any, weight: str | None, bias: str | None) -> str:
        """x * weight + bias of parameters."""
        by_text = {part_of(place): part for place, part in enumerate(self._parts)}
        self._affine = (by_text.get(weight or ""), by_text.get(bias or ""))
        return f"{x}{f' * {weight}' if weight else ''}{f' + {bias}' if bias else ''}"

    def function(self, function: Callable[..., Any]) -> str:
        """Put a function of the package's into the file; its name."""
        if function not in self._functions:
            self._functions.append(function)
        return function.__name__

    def blob(self, index: int, shape: Sequence[int] | None = None) -> Value:
        """A learned blob of the layer's, in this shape where one is given."""
        blob = self._layer.blobs[index].blob
        return Value(f"{self._layer.name}/{index}", tuple(shape) if shape is not None else blob.shape, blob)

    def weights(self, index: int) -> np.ndarray:
        """The values of a learned blob, float64, to compute arrays from."""
        blob: Blob = self._layer.blobs[index].blob
        return np.array(blob.read_only.data, np.float64)

    def varies(self, top: int = 0, axis: int = 0) -> None:
        """Say that an axis of a top is as long as the data says when the module runs."""
        self.varying[top] = axis

    def refuse(self, sentence: str) -> NoReturn:
        """Say what cannot be exported."""
        raise LayerError(sentence)

    def expressions(self, result: str | Sequence[str]) -> list[Value]:
        """Add the lines of what the layer's function returned; the values of the tops."""
        if isinstance(result, str):
            return self._add(result, self._targets)
        made = []
        for text, target in zip(result, self._targets, strict=len(result) == len(self._targets)):
            made += self._add(text, [target])
        return made if len(result) == len(self._targets) else [Value() for _ in result]

    def memories(self) -> Sequence[Any]:
        """What the layer keeps from one run to the next: nothing."""
        return ()

    def copy(self, value: Value) -> Value:
        raise AssertionError(f"every expression makes a value of its own, not {value}")

    def _add(self, text: str, targets: list[str]) -> list[Value]:
        made = [Value() for _ in targets]
        self._graph.operations.append(
            Expression(
                "",
                list(self._values),
                made,
                {},
                self._layer.name,
                text=text,
                parts=self._parts,
                functions=self._functions,
                targets=targets,
                layers=[self._layer.name],
                in_place=self._in_place,
                affine=self._affine,
            )
        )
        return made

    def _part(self, part: Part) -> str:
        self._parts.append(part)
        return part_of(len(self._parts) - 1)

    def _as_value(self, value: Any) -> Value:
        if isinstance(value, Value):
            return value
        array = np.asarray(value)
        array = array.astype(np.float32) if array.dtype.kind == "f" else array.astype(np.int64)
        return Value(shape=array.shape, source=array)

    def _arguments(self, arguments: Sequence[Any], options: Mapping[str, Any]) -> list[str]:
        given = {name: value for name, value in options.items() if value is not None}
        return [*map(self._text, arguments), *(f"{name}={self._text(value)}" for name, value in given.items())]

    def _text(self, value: Any) -> str:
        if isinstance(value, (bool, np.bool_)):
            return str(bool(value))
        if isinstance(value, (int, np.integer)):
            return str(int(value))
        if isinstance(value, (float, np.floating)):
            return self.number(float(value))
        if isinstance(value, (tuple, list)):
            return f"({', '.join(map(self._text, value))}{',' * (len(value) == 1)})"
        return str(value)
