"""ParseOutput: the best channel of each pixel, the first of equal ones.

- bottom: scores `(N, C, H, W)`, float32 or float64.
- top 0: `(N, 1, H, W)`, the channel's number; top 1, if wanted: its score.

No gradient.

Source: the ParseOutputLayer of weiliu89/caffe, branch fcn.
"""

from __future__ import annotations

from collections.abc import Sequence

from bicerin.errors import ShapeError
from bicerin.layer import Blob, BlobCounts, Layer, between, image_shape


class ParseOutputLayer(Layer):
    """Labels from scores."""

    type = "ParseOutput"
    counts = BlobCounts(bottom=1, top=between(1, 2))
    allows_in_place = False

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        number, channels, height, width = image_shape(bottom[0])
        if channels < 1:
            raise ShapeError("there must be a channel of scores.")
        for blob in top:
            blob.reshape(number, 1, height, width)

    def allow_force_backward(self, bottom_index: int) -> bool:
        return False

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        xp, scores = self.xp, bottom[0].data
        top[0].data[:, 0] = xp.argmax(scores, axis=1)
        if len(top) > 1:
            scores.max(axis=1, out=top[1].data[:, 0])
