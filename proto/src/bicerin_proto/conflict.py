"""A name by which providers mean different things."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Conflict:
    """A name by which providers mean different things.

    Attributes:
        message: the message or enum, such as "LayerParameter".
        name: the field or value.
        meanings: what each says, such as ("bicerin-rcnn", "optional ROIPoolingParameter roi_pooling_param = 150").
        winner: whose meaning holds: the chosen provider's, Caffe's, or that of the only one that does not give way.
            None: using the name is an error.
        numbers: the numbers of its meanings.
    """

    message: str
    name: str
    meanings: tuple[tuple[str, str], ...]
    winner: str | None = None
    numbers: tuple[int, ...] = field(default=(), repr=False)

    @property
    def reason(self) -> str:
        """What is wrong, naming everyone involved."""
        by_meaning: dict[str, list[str]] = {}
        for distribution, meaning in self.meanings:
            by_meaning.setdefault(meaning, []).append(distribution)
        said = "; ".join(f"{', '.join(who)}: {meaning}" for meaning, who in by_meaning.items())
        return f'"{self.name}" of {self.message} means different things ({said}).'

    @property
    def hint(self) -> str:
        """How to choose."""
        one = self.meanings[0][0]
        return (
            f'Choose one with providers={{"{self.name}": "{one}"}} (for a net: layer_providers={{TYPE: "{one}"}}, TYPE '
            "being one of its layer types), or uninstall the other."
        )
