"""What a layer's function for PyTorch is given: types alone, for packages to import under TYPE_CHECKING.

A package says what its layer is in PyTorch with an entry point of the group `bicerin.torch`, named after the layer's
type. The function returns Python: an expression for the layer's top.

    def prelu(code: Code, layer: PReLULayer) -> str:
        (x,) = code.bottoms
        prelu = code.module("nn.PReLU", layer.channels, arrays={"weight": code.blob(0)})
        return f"{prelu}({x})"

For several tops it is one expression of a tuple, or a list of expressions, one for each; for a layer that means nothing
where the net is only run it is None, and for a layer without tops an empty list. The names `torch`, `nn` and `F`
(`torch.nn.functional`) are there. The code is right in `train()` as in `eval()`, as far as PyTorch can do what the
layer does when it learns; what it cannot is refused. `bicerin-onnx` brings `code`; nothing of it, and nothing of torch,
is imported for the function. It is called at several sizes of the net, and a size stays a variable where all of them
give the same text: write `.flatten(1)` rather than `.reshape(8, 1024)`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn, Protocol


class Value(Protocol):
    """A blob: in a text it stands for the variable that holds it."""

    shape: tuple[int, ...]


class Code(Protocol):
    """The place of one layer in the module.

    Attributes:
        bottoms: the blobs that it reads, float32 (the mask of a Pooling is int64).
        tops: the shapes of those that it makes.
        keeps_losses: whether losses, and what compares with labels, are to be in the module.
    """

    bottoms: tuple[Any, ...]
    tops: tuple[tuple[int, ...], ...]
    keeps_losses: bool

    def call(self, function: str, *arguments: Any, **options: Any) -> str:
        """A call: numbers, tuples and strings are written as Python has them, blobs and other texts stand as they are.

        An option that is None is left out.
        """

    def number(self, value: float) -> str:
        """A number as text: the shortest that gives the same float32."""

    def one(self, sizes: Sequence[int]) -> Any:
        """One number where all sizes are the same, as `kernel_size` and `stride` may be given; else the tuple."""

    def module(
        self, kind: str, *arguments: Any, arrays: Mapping[str, Any] | None = None, suffix: str = "", **options: Any
    ) -> str:
        """Give the module a part, `self.<layer>`, such as `nn.Conv2d`; the text that stands for it.

        Args:
            kind: the class.
            arguments, options: of its construction, as in `call`.
            arrays: learned blobs, or arrays, by the names that the part has them under.
            suffix: goes after the layer's name, for a second part.
        """

    def parameter(self, value: Any, suffix: str) -> str:
        """Give the module a parameter, `self.<layer>_<suffix>`, of a learned blob or an array."""

    def buffer(self, value: Any, suffix: str) -> str:
        """Give the module a buffer, which is not learned, `self.<layer>_<suffix>`, of a learned blob or an array."""

    def scaled(self, x: Any, weight: str | None, bias: str | None) -> str:
        """x * weight + bias of parameters: after a BatchNorm it becomes part of it, where nothing else reads x."""

    def function(self, function: Callable[..., Any]) -> str:
        """Put a function of the package's into the file, as its source stands; its name.

        It may use torch, nn, F, Tensor and its arguments, and functions that were put there before.
        """

    def blob(self, index: int, shape: Sequence[int] | None = None) -> Any:
        """A learned blob of the layer's, in this shape where one is given."""

    def weights(self, index: int) -> Any:
        """The values of a learned blob, float64, to compute arrays from."""

    def varies(self, top: int = 0, axis: int = 0) -> None:
        """Say that an axis of a top is as long as the data says when the module runs."""

    def refuse(self, sentence: str) -> NoReturn:
        """Say, in a sentence, what cannot be exported."""
