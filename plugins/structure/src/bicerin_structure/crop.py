"""Crop: a part of bottom 0, as large as bottom 1 from `axis` on (by default 2, so height and width).

The part starts at `offset`: none (0), one for all cropped axes, or one each. Bottom 1 lends only its shape, so its
gradient is zero. float32 or float64.

Source: Caffe's `CropLayer`.
"""

from __future__ import annotations

from collections.abc import Sequence

from bicerin.errors import ShapeError
from bicerin.layer import Blob, BlobCounts, Layer


class CropLayer(Layer):
    """For bottoms `(N, C, H, W)`, `(_, _, h, w)` and axis 2, the top is `(N, C, h, w)`."""

    type = "Crop"
    counts = BlobCounts(bottom=2, top=1)
    allows_in_place = False

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        shape, reference = bottom[0].shape, bottom[1].shape
        first = bottom[0].canonical_axis(self.param.crop_param.axis)
        if len(reference) < len(shape):
            raise ShapeError(f"bottom 1 has {len(reference)} axes, but bottom 0 has {len(shape)} to be cropped by it.")
        #: The first axis that is cropped, and where the part begins along it and those after it.
        self.first, self.offsets = first, self._offsets(len(shape) - first)
        part = [slice(None)] * first
        for axis, offset in enumerate(self.offsets, start=first):
            if shape[axis] - offset < reference[axis]:
                raise ShapeError(
                    f"the crop for dimension {axis} is out of bounds with size {reference[axis]} and offset {offset}.",
                    f"Bottom 0 has {shape[axis]} there.",
                )
            part.append(slice(offset, offset + reference[axis]))
        self._part = tuple(part)
        top[0].reshape(*shape[:first], *reference[first : len(shape)])

    def _offsets(self, cropped: int) -> list[int]:
        offsets = list(self.param.crop_param.offset)
        if len(offsets) <= 1:
            return (offsets or [0]) * cropped
        if len(offsets) != cropped:
            raise ShapeError(
                "number of offset values specified must be equal to the number of dimensions following axis: "
                f"{len(offsets)} for {cropped}.",
                "One value for all of them, or none, is right too.",
            )
        return offsets

    def allow_force_backward(self, bottom_index: int) -> bool:
        return bottom_index == 0

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        top[0].data[...] = bottom[0].data[self._part]

    def backward(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        if propagate_down[0]:
            bottom[0].diff.fill(0)
            bottom[0].diff[self._part] = top[0].diff
        if propagate_down[1]:
            bottom[1].diff.fill(0)
