"""Nms: the peaks of heat maps, where each joint of a body is likely to be.

A peak is a pixel above `threshold` that is more than each of the 8 around it; those at the border are none.

- bottom: shape (N, C, H, W), C at least `num_parts`; the maps after those are not looked at.
- top: shape (N, num_parts, max_peaks + 1, 3). Row 0 of a map has the number of its peaks, which may be more than there
  is room for, and two zeros. The rows after it are the first peaks, row by row of the map: x, y and the value. x and y
  are the mean of the places of the positive values of the 7 x 7 pixels around the peak, weighted by them; row and
  column 0 are left out. Rows without a peak are 0. No gradient.

Source: the `NmsLayer` of caffe_rtpose (Cao et al., "Realtime multi-person 2D pose estimation", 2017), as it runs on a
GPU. There the 7 x 7 pixels may reach below a map that is wider than high, into the next one; here they end with it.
"""

from __future__ import annotations

from collections.abc import Sequence

from bicerin.errors import LayerError, ShapeError
from bicerin.layer import Blob, BlobCounts, Layer, Operations, image_shape


class NmsLayer(Layer):
    """Nothing is suppressed but what is less than its neighbours: its name notwithstanding, there are no boxes."""

    type = "Nms"
    counts = BlobCounts(bottom=1, top=1)
    operations = Operations("nms_kernels")
    allows_in_place = False

    def layer_set_up(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        param = self.param.nms_param
        if param.HasField("num_peak"):
            raise LayerError("num_peak is of an older Nms, which had one map an image.", "Give max_peaks in its place.")
        if param.num_parts < 1 or param.max_peaks < 1:
            raise LayerError(f"num_parts and max_peaks must be positive, not {param.num_parts} and {param.max_peaks}.")
        self.threshold: float = param.threshold
        self.parts: int = param.num_parts
        self.limit: int = param.max_peaks

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        number, channels, _, _ = image_shape(bottom[0])
        if channels < self.parts:
            raise ShapeError(f"there are {channels} maps for {self.parts} parts.", "Set num_parts in nms_param.")
        top[0].reshape(number, self.parts, self.limit + 1, 3)

    def allow_force_backward(self, bottom_index: int) -> bool:
        return False

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        self.ops.find_peaks(bottom[0].data, self.threshold, top[0].data)
