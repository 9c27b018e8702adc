"""Flip: planes mirrored, left to right unless `flip_width: false`, upside down with `flip_height: true`.

Source: the FlipLayer of happynear/caffe-windows.
"""

from __future__ import annotations

from collections.abc import Sequence

from bicerin.errors import ShapeError
from bicerin.layer import Blob, BlobCounts, Layer


class FlipLayer(Layer):
    """Bottom and top: `(N, C, H, W)`."""

    type = "Flip"
    counts = BlobCounts(bottom=1, top=1)
    allows_in_place = False

    def layer_set_up(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        param = self.param.flip_param
        steps = [-1 if flips else 1 for flips in (param.flip_height, param.flip_width)]
        self.backwards = (slice(None), slice(None), *(slice(None, None, step) for step in steps))

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        if bottom[0].num_axes != 4:
            raise ShapeError(f"planes are wanted, (N, C, H, W), not {bottom[0].shape}.")
        top[0].reshape_like(bottom[0])

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        top[0].data[...] = bottom[0].data[self.backwards]

    def backward(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        if propagate_down[0]:
            bottom[0].diff[...] = top[0].diff[self.backwards]
