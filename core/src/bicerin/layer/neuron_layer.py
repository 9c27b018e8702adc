"""What element-wise layers have in common: one bottom, one top of the same shape, in place or not.

Source: Caffe's `NeuronLayer`.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

from bicerin.errors import LayerError
from bicerin.layer.blob import Blob
from bicerin.layer.counts import BlobCounts
from bicerin.layer.layer import Layer


class NeuronLayer(Layer):
    """y = f(x), element by element.

    A subclass implements `activate` and `gradient`. In place, x and y are one array and so are their gradients; a layer
    whose gradient cannot do without x sets `keeps_bottom`, and x is then a copy from before it was overwritten.
    Overflow and undefined values give inf and NaN without a warning, as in Caffe.
    """

    counts = BlobCounts(bottom=1, top=1)
    #: Whether `gradient` needs x itself, where y is not enough.
    keeps_bottom: bool = False

    in_place = False
    _kept: Any = None

    @abstractmethod
    def activate(self, x: Any, y: Any) -> None:
        """Write y from x, arrays of the layer's side and of one shape; both may be the same array."""

    def gradient(self, x: Any, y: Any, y_diff: Any, x_diff: Any) -> None:
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

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        x = bottom[0].data
        if self.in_place and self._kept is not None:
            self._kept.data[...] = x
        self.activate(x, top[0].data)

    def backward(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        if propagate_down[0]:
            self.gradient(self.input(bottom), top[0].data, top[0].diff, bottom[0].diff)

    def input(self, bottom: Sequence[Blob]) -> Any:
        """The x of the last forward pass."""
        return self._kept.data if self.in_place and self._kept is not None else bottom[0].data
