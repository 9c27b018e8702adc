"""BroadcastMul: top = x · a, a holding one factor for each channel of each image; the bottoms come in either order.

- bottoms: x, shape (N, C, ...), and a, shape (N, C, 1, ...); the one with larger channels is x, the first of equals.
- top: the shape of x.

Source: jolibrain's `BroadcastMulLayer`.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from bicerin.errors import ShapeError
from bicerin.layer import Blob, BlobCounts, Layer, Operations


class BroadcastMulLayer(Layer):
    """∂L/∂x = ∂L/∂top · a; ∂L/∂a is the sum of ∂L/∂top · x over each channel of each image."""

    type = "BroadcastMul"
    counts = BlobCounts(bottom=2, top=1)
    allows_in_place = False
    operations = Operations("axpy_kernels")

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        #: Which bottom is x; the other is a.
        sizes = [prod(blob.shape[2:]) for blob in bottom]  # of a channel: a batch may be empty
        self.larger = 0 if sizes[0] >= sizes[1] else 1
        x, a = bottom[self.larger], bottom[1 - self.larger]
        if x.num_axes < 2 or a.shape != x.shape[:2] + (1,) * (a.num_axes - 2):
            raise ShapeError(
                f"one bottom must hold one factor for each channel of the other, which is {x.shape}: "
                f"{(*x.shape[:2], *[1] * (x.num_axes - 2))}, not {a.shape}."
            )
        top[0].reshape_like(x)
        #: Each image's channels are channels of their own.
        self.planes = (1, x.count_between(0, 2), x.count_between(2))

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        x, a = bottom[self.larger], bottom[1 - self.larger]
        self.ops.multiply(a.data.reshape(-1), x.data.reshape(self.planes), top[0].data.reshape(self.planes))

    def backward(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        x, a = bottom[self.larger], bottom[1 - self.larger]
        diff = top[0].diff.reshape(self.planes)
        if propagate_down[self.larger]:
            self.ops.multiply(a.data.reshape(-1), diff, x.diff.reshape(self.planes))
        if propagate_down[1 - self.larger]:
            sums = self.xp.einsum("ncs,ncs->nc", diff, x.data.reshape(self.planes))
            a.diff.reshape(self.planes[:2])[...] = sums
