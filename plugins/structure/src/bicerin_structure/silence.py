"""Silence: takes bottoms that nobody else reads, so that they are not outputs of the net. Their gradient is zero.

Source: Caffe's `SilenceLayer`.
"""

from __future__ import annotations

from collections.abc import Sequence

from bicerin.layer import Blob, BlobCounts, Layer, at_least


class SilenceLayer(Layer):
    """Any bottoms of any shapes, no top."""

    type = "Silence"
    counts = BlobCounts(bottom=at_least(1), top=0)

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        """There is no top."""

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        """There is nothing to compute."""

    def backward(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        for blob, wanted in zip(bottom, propagate_down, strict=True):
            if wanted:
                blob.diff.fill(0)
