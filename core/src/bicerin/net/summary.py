"""A net's layers as a table: their shapes, parameters and cost."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from bicerin.layer.abilities import multiply_adds
from bicerin.layer.blob import Blob
from bicerin.layer.html import html_table
from bicerin.net.node import Node
from bicerin_proto.quotation import printable

_HEAD = ("Layer", "Type", "Bottoms", "Tops", "Parameters", "Number", "Multiply-adds")
_NUMBERS = ("Number", "Multiply-adds")


class LayerSummary(NamedTuple):
    """One layer.

    Attributes:
        bottoms: the names of what it reads.
        tops: the names and shapes of what it makes.
        parameters: the shapes of its learnable blobs.
        parameter_count: their elements, without those that it shares with a layer before it.
        multiply_adds: of one forward pass.
    """

    name: str
    type: str
    bottoms: tuple[str, ...]
    tops: tuple[tuple[str, tuple[int, ...]], ...]
    parameters: tuple[tuple[int, ...], ...]
    parameter_count: int
    multiply_adds: int

    @classmethod
    def of(cls, node: Node, owns: Callable[[Blob], bool]) -> LayerSummary:
        """`owns` says whether a layer's blob is the first that uses its memory."""
        return cls(
            node.name,
            node.type,
            tuple(node.bottom_names),
            tuple((name, tuple(blob.shape)) for name, blob in zip(node.top_names, node.top, strict=False)),
            tuple(tuple(blob.shape) for blob in node.blobs),
            sum(blob.count for blob in node.blobs if owns(blob)),
            multiply_adds(node.layer, node.bottom, node.top),
        )


@dataclass(frozen=True)
class NetSummary:
    """The layers of a net in the order in which they run; `print` and a notebook show it as a table."""

    title: str
    layers: Sequence[LayerSummary]

    @property
    def parameter_count(self) -> int:
        """How many numbers the net learns."""
        return sum(layer.parameter_count for layer in self.layers)

    @property
    def multiply_adds(self) -> int:
        """Of one forward pass with the present shapes."""
        return sum(layer.multiply_adds for layer in self.layers)

    def __str__(self) -> str:
        rows = [_HEAD, *(_cells(layer) for layer in self.layers)]
        widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
        lines = ["  ".join(_padded(*cell) for cell in zip(_HEAD, row, widths, strict=True)).rstrip() for row in rows]
        return "\n".join(
            [self.title, "", lines[0], "-" * sum(widths, 2 * len(widths) - 2), *lines[1:], "", self._total]
        )

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return html_table(f"{self.title}: {self._total}", _HEAD, map(_cells, self.layers))

    @property
    def _total(self) -> str:
        return f"{self.parameter_count:,} parameters, {self.multiply_adds:,} multiply-adds in a forward pass"


def _cells(layer: LayerSummary) -> tuple[str, ...]:
    texts = (
        layer.name,
        layer.type,
        ", ".join(layer.bottoms),
        ", ".join(f"{name} {_shape(shape)}" for name, shape in layer.tops),
        ", ".join(map(_shape, layer.parameters)),
        f"{layer.parameter_count:,}" if layer.parameters else "",
        f"{layer.multiply_adds:,}" if layer.multiply_adds else "",
    )
    return tuple(printable(text, 1000) for text in texts)


def _shape(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape)) or "1"


def _padded(head: str, cell: str, width: int) -> str:
    return cell.rjust(width) if head in _NUMBERS else cell.ljust(width)
