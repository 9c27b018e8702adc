"""Attributes: what a primitive does to each of its results before it writes it."""

from __future__ import annotations

from types import TracebackType

from bicerin_onednn import library as dnn
from bicerin_onednn.library import library


class attributes:
    """A handle of a primitive's attributes, to make its descriptor with; None where there are none.

    Args:
        slope: of negative results; 1 for no rectifier.
        addend: the descriptor of an array that is added before that; None for none.
    """

    def __init__(self, slope: float = 1.0, addend: int | None = None) -> None:
        self._handles: list[tuple[str, int]] = []
        self._handle: int | None = None
        if slope == 1 and addend is None:
            return
        dll = library()
        steps = dll.make("post_ops_create")
        self._handles.append(("post_ops_destroy", steps))
        if addend is not None:
            dll.call("post_ops_append_binary", steps, dnn.ADD, addend)
        if slope != 1:
            dll.call("post_ops_append_eltwise", steps, dnn.RELU, slope, 0.0)
        self._handle = dll.make("primitive_attr_create")
        self._handles.append(("primitive_attr_destroy", self._handle))
        dll.call("primitive_attr_set_post_ops", self._handle, steps)

    def __enter__(self) -> int | None:
        return self._handle

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for name, handle in self._handles:
            library().call(name, handle)
