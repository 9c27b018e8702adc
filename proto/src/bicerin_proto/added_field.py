"""What became of a field that plugins add to a message."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class AddedField:
    """A field that plugins add to one of Caffe's messages, or some of them to a message that they share, or one of
    a plugin's own message that not all layers honour which read the message.

    Attributes:
        message: the message's name in Caffe's package, such as "LayerParameter" or "bicerin_rcnn.ROIPoolingParameter".
        name: the field.
        number: its number in the merged schema.
        numbers: every number under which files may hold it, the declared one first.
        distributions: who adds it; several where all mean the same.
        without: what is computed by a layer that does not know it: see `(bicerin.without)` in bicerin.proto.
        honoured_by: the layer types that honour it; empty for all of the distributions and of what requires them.
    """

    message: str
    name: str
    number: int
    numbers: tuple[int, ...]
    distributions: tuple[str, ...]
    without: str = "OTHER"
    honoured_by: frozenset[str] = frozenset()

    @property
    def renumbered(self) -> bool:
        """Whether something else had its declared number before."""
        return self.number != self.numbers[0]
