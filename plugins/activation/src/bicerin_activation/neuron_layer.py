"""What element-wise layers have in common: one bottom, one top of the same shape, in place or not.

Source: Caffe's `NeuronLayer`.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

from bicerin.errors import LayerError
from bicerin.layer import ArrayLayer, Blob, BlobCounts


class NeuronLayer(ArrayLayer):
    """y = f(x), element by element.

    A subclass implements `activate` and `gradient`. In place, x and y are one array and so are their gradients; a layer
    whose gradient cannot do without x sets `keeps_bottom`, and x is then a copy from before it was overwritten.
    Overflow and undefined values give inf and NaN without a warning, as in Caffe.
    """

    counts = BlobCounts(bottom=1, top=1)
    #: Whether `gradient` needs x itself, where y is not enough.
    keeps_bottom: bool = False

    in_place = False
    _kept: Blob | None = None

    @abstractmethod
    def activate(self, xp: Any, x: Any, y: Any) -> None:
        """Write y from x; both may be the same array."""

    def gradient(self, xp: Any, x: Any, y: Any, y_diff: Any, x_diff: Any) -> None:
        """Write `x_diff` from `y_diff`; both may be the same array. Without `keeps_bottom`, x may be y."""
        raise LayerError("this layer has no gradient, but its bottom needs one.")

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        self.in_place = top[0] is bottom[0]
        if not self.in_place:
            top[0].reshape_like(bottom[0])
        elif self.keeps_bottom:
            if self._kept is None:
                self._kept = self.new_blob()
            self._kept.reshape_like(bottom[0])

    def forward_array(self, xp: Any, bottom: Sequence[Any], top: Sequence[Any]) -> None:
        x = bottom[0].data
        if self.in_place and self._kept is not None:
            self.array(self._kept)[...] = x
        self.activate(xp, x, top[0].data)

    def backward_array(
        self, xp: Any, top: Sequence[Any], propagate_down: Sequence[bool], bottom: Sequence[Any]
    ) -> None:
        if propagate_down[0]:
            self.gradient(xp, self.input(xp, bottom), top[0].data, top[0].diff, bottom[0].diff)

    def input(self, xp: Any, bottom: Sequence[Any]) -> Any:
        """The x of the last forward pass."""
        return self.array(self._kept) if self.in_place and self._kept is not None else bottom[0].data
