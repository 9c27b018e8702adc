"""Maximum: the greatest value of each map, and where it is.

- bottom: shape (N, C, H, W).
- top: shape (N, C, 1, 3): x, y and the value, of equal values the first, row by row. Of a map without a value above the
  least positive normal number, x and y are 0 and the value is that number. No gradient.

Source: the `MaximumLayer` of caffe_rtpose (Wei et al., "Convolutional pose machines", 2016).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bicerin.errors import ShapeError
from bicerin.layer import Blob, BlobCounts, Layer, image_shape


class MaximumLayer(Layer):
    """The joint that each map is for is there, if it is anywhere."""

    type = "Maximum"
    counts = BlobCounts(bottom=1, top=1)
    allows_in_place = False

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        number, channels, height, width = image_shape(bottom[0])
        if not height * width:
            raise ShapeError(f"the maps have no pixels: height {height}, width {width}.")
        self.maps = (number, channels, height * width)
        self.width = width
        top[0].reshape(number, channels, 1, 3)

    def allow_force_backward(self, bottom_index: int) -> bool:
        return False

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        xp, y = self.xp, top[0].data[:, :, 0]
        maps = bottom[0].data.reshape(self.maps)
        least = float(np.finfo(self.dtype).tiny)
        # NaN is never the greatest, as in a comparison.
        maps = xp.where(maps == maps, maps, least)
        place = maps.argmax(axis=2)
        value = xp.take_along_axis(maps, place[..., None], axis=2)[..., 0]
        place = xp.where(value > least, place, 0)
        y[..., 0] = place % self.width
        y[..., 1] = place // self.width
        y[..., 2] = xp.maximum(value, least)
