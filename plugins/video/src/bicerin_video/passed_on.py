"""What Gather and Scatter do in one process: nothing but pass on what they are given."""

from __future__ import annotations

from collections.abc import Sequence

from bicerin.layer import Blob, BlobCounts, Layer, at_least


class PassedOn(Layer):
    """Bottoms: any shapes. Tops: as many, the same, whose memory they share."""

    counts = BlobCounts(bottom=at_least(1), top=at_least(1), equal=True)
    allows_in_place = False

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        for x, y in zip(bottom, top, strict=True):
            y.reshape_like(x)
            y.share_data(x)
            y.share_diff(x)

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        """The data is shared."""

    def backward(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        """The diff is shared."""
