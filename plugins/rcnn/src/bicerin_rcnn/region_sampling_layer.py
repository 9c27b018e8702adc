"""What the layers share that sample regions between pixels: their bottoms, their passes, what is no region."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

from bicerin.layer import Blob, BlobCounts, Layer, Operations
from bicerin_rcnn.taps import Taps


class RegionSamplingLayer(Layer):
    """Bottom 0: maps. Bottom 1: regions `(image, x1, y1, x2, y2)`, which have no gradient. A subclass shapes the top.

    Attributes:
        group: 1, or how many rows, and columns, of bins have maps of their own.
    """

    operations = Operations("region_samples_kernels")
    counts = BlobCounts(bottom=2, top=1)
    allows_in_place = False
    group = 1

    def allow_force_backward(self, bottom_index: int) -> bool:
        return bottom_index == 0

    @abstractmethod
    def taps(self, start: Any, stop: Any, size: int, pooled: int) -> Taps:
        """The taps of one axis, for regions from `start` to `stop`, `(R,)`, on a map of `size` pixels."""

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        image, corners, sense = self.ops.region_corners(bottom[1].data.reshape(-1, 5), bottom[0].num)
        rows = self.taps(corners[:, 1], corners[:, 3], bottom[0].height, top[0].height)
        columns = self.taps(corners[:, 0], corners[:, 2], bottom[0].width, top[0].width)
        if sense is not None:
            rows = Taps(rows.places, rows.weights * sense[:, None, None])
        self.samples = (image, tuple(rows), tuple(columns))
        self.ops.sample(self._grouped(bottom[0], bottom[0].data), *self.samples, top[0].data)

    def backward(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        if propagate_down[0]:
            self.ops.sample_backward(top[0].diff, *self.samples, self._grouped(bottom[0], bottom[0].diff))
        if propagate_down[1]:
            bottom[1].diff.fill(0)

    def _grouped(self, blob: Blob, array: Any) -> Any:
        """The maps by output and bin, `(N, D, G, G, H, W)`."""
        group = self.group
        return array.reshape(blob.num, blob.channels // group**2, group, group, blob.height, blob.width)
