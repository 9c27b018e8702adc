"""Axpy: channels scaled by what a net makes of them, plus a shortcut. Hu et al., Squeeze-and-Excitation, 2018."""

from __future__ import annotations

from collections.abc import Sequence

from bicerin.errors import LayerError, ShapeError
from bicerin.layer import Blob, BlobCounts, Layer


class AxpyLayer(Layer):
    """top = a * x + y, a being one factor a channel.

    Bottom 0: a, `(N, C)` or `(N, C, 1, 1)`. Bottoms 1 and 2: x and y, `(N, C, ...)`. Top: the same; it may be y's own
    blob. Source: the AxpyLayer of SENet.
    """

    type = "Axpy"
    counts = BlobCounts(bottom=3, top=1)

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        a, x, y = bottom
        if x.num_axes < 2 or a.shape != x.shape[:2] + (1,) * (a.num_axes - 2):
            raise ShapeError(
                f"{a.name or 'bottom 0'} must have the shape {x.shape[:2]} or {(*x.shape[:2], 1, 1)}, not {a.shape}.",
                f"It holds one factor for each channel of {x.name or 'bottom 1'}, which is {x.shape}.",
            )
        if x.shape != y.shape:
            raise ShapeError(f"x and y must have the same shape: {x.shape} against {y.shape}.")
        if top[0] is a or top[0] is x:
            raise LayerError(
                "Axpy Layer does not allow in-place computation on a or x.", "Only y's blob may be the top."
            )
        top[0].reshape_like(x)
        self.in_place = top[0] is y
        self.channels = (*x.shape[:2], 1)
        self.planes = (*x.shape[:2], x.count_between(2))

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        xp = self.xp
        a, x = bottom[0].data.reshape(self.channels), bottom[1].data.reshape(self.planes)
        out = top[0].data.reshape(self.planes)
        if self.in_place:
            out += a * x
        else:
            xp.multiply(a, x, out=out)
            out += bottom[2].data.reshape(self.planes)

    def backward(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        xp = self.xp
        a, x = bottom[0].data.reshape(self.channels), bottom[1].data.reshape(self.planes)
        diff = top[0].diff.reshape(self.planes)
        if propagate_down[0]:
            bottom[0].diff.reshape(self.planes[:2])[...] = xp.einsum("ncs,ncs->nc", diff, x)
        if propagate_down[1]:
            xp.multiply(a, diff, out=bottom[1].diff.reshape(self.planes))
        if propagate_down[2] and not self.in_place:
            bottom[2].diff.reshape(self.planes)[...] = diff
