"""Im2col: the patches that a kernel sees, as channels: top[c * kernel + offset, position] = what the kernel's element
`offset` meets in channel c at that position, 0 in the padding.

Source: Caffe's `Im2colLayer`.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from bicerin.errors import ShapeError
from bicerin.layer import Blob, BlobCounts, Layer
from bicerin_convolution.geometry import Geometry
from bicerin_convolution.operations import OPERATIONS


class Im2colLayer(Layer):
    """Bottom `(N..., C, spatial...)` to top `(N..., C * kernel, output...)`; backward adds overlaps."""

    type = "Im2col"
    counts = BlobCounts(bottom=1, top=1)
    operations = OPERATIONS
    allows_in_place = False

    def layer_set_up(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        param = self.param.convolution_param
        self.axis = bottom[0].canonical_axis(param.axis)
        axes = bottom[0].num_axes - self.axis - 1
        if axes < 1:
            raise ShapeError(f"there must be at least one spatial axis after the channels, axis {self.axis}.")
        self.geometry = Geometry.of(param, axes)
        self._image_shape: tuple[int, ...] = ()

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        shape = bottom[0].shape
        if len(shape) != self.axis + 1 + len(self.geometry.kernel):
            raise ShapeError(f"the bottom has {len(shape)} axes now; the number may not change.")
        before, channels, spatial = shape[: self.axis], shape[self.axis], shape[self.axis + 1 :]
        output = self.geometry.output_shape(spatial)
        top[0].reshape(*before, channels * prod(self.geometry.kernel), *output)
        image_shape = (prod(before), channels, *spatial)
        if image_shape != self._image_shape:
            self._unfolding = self.ops.prepare_unfolding(self.geometry, spatial, output, self.xp)
        self._image_shape = image_shape
        self._column_shape = (prod(before), channels, *self.geometry.kernel, *output)

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        self._unfolding.unfold(bottom[0].data.reshape(self._image_shape), top[0].data.reshape(self._column_shape))

    def backward(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        if propagate_down[0]:
            self._unfolding.fold(top[0].diff.reshape(self._column_shape), bottom[0].diff.reshape(self._image_shape))
