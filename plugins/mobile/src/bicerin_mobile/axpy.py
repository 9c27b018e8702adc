"""Axpy: top = a · x + y, a holding one factor for each channel of each image.

- bottom 0: a, shape (N, C) or (N, C, 1, 1).
- bottoms 1 and 2: x and y, shape (N, C, ...).
- top: the same shape; it may be y's own blob.

Source: Hu et al., "Squeeze-and-excitation networks", 2018; the AxpyLayer of SENet.
"""

from __future__ import annotations

from collections.abc import Sequence

from bicerin.errors import LayerError, ShapeError
from bicerin.layer import Blob, BlobCounts, Layer, Operations


class AxpyLayer(Layer):
    """∂L/∂a is the sum of ∂L/∂top · x over each channel of each image. No pass reads y or the top's data."""

    type = "Axpy"
    counts = BlobCounts(bottom=3, top=1)
    operations = Operations("axpy_kernels")

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
        #: Each image's channels are channels of their own.
        self.planes = (1, x.count_between(0, 2), x.count_between(2))

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        y = bottom[2].data.reshape(self.planes)
        out = y if self.in_place else top[0].data.reshape(self.planes)
        self.ops.multiply_add(bottom[0].data.reshape(-1), bottom[1].data.reshape(self.planes), y, out)

    def backward(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        diff = top[0].diff.reshape(self.planes)
        if propagate_down[0]:
            x = bottom[1].data.reshape(self.planes)
            bottom[0].diff.reshape(self.planes[:2])[...] = self.xp.einsum("ncs,ncs->nc", diff, x)
        if propagate_down[1]:
            self.ops.multiply(bottom[0].data.reshape(-1), diff, bottom[1].diff.reshape(self.planes))
        if propagate_down[2] and not self.in_place:
            bottom[2].diff.reshape(self.planes)[...] = diff
