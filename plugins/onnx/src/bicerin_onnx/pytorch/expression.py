"""What a layer is in PyTorch: expressions, and the parts of the module that they use."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from bicerin_onnx.graph import Operation, Value


@dataclass(eq=False)
class Part:
    """A module, parameter or buffer of a layer.

    Attributes:
        kind: the class of a module; "parameter" or "buffer".
        arguments: of its construction, as text.
        arrays: by the names that a module has them under; under "" for a parameter or buffer.
        layer, suffix: what its name is made of.
    """

    kind: str
    arguments: list[str]
    arrays: dict[str, Value]
    layer: str
    suffix: str = ""

    @property
    def is_module(self) -> bool:
        return self.kind not in ("parameter", "buffer")

    def __str__(self) -> str:
        return f"{self.kind}({', '.join(self.arguments)}) {self.suffix} {list(self.arrays)}"


@dataclass(eq=False)
class Expression(Operation):
    """One line of `forward`. In its text, `‹0›` stands for the first input and `‹p0›` for the first part.

    Attributes:
        targets: the blobs that it makes, by the net's names for them.
        layers: the layers that it stands for.
        in_place: whether the layer works in place.
        affine: of a text `‹0› * weight + bias`, the two.
    """

    text: str = ""
    parts: list[Part] = field(default_factory=list)
    functions: list[Callable[..., Any]] = field(default_factory=list)
    targets: list[str] = field(default_factory=list)
    layers: list[str] = field(default_factory=list)
    in_place: bool = False
    affine: tuple[Part | None, Part | None] | None = None

    def __post_init__(self) -> None:
        # What tells whether two are the same.
        self.operator = "\n".join([self.text, *map(str, self.parts)])
        self.inputs = [*self.inputs, *(value for part in self.parts for value in part.arrays.values())]


def input_of(place: int) -> str:
    return f"‹{place}›"


def part_of(place: int) -> str:
    return f"‹p{place}›"
