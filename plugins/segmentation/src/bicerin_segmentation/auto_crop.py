"""AutoCrop: a part of bottom 0, as large as bottom 1 from axis 2 on, where it lies over bottom 1.

Both bottoms come from one blob through layers with windows (convolution, pooling, deconvolution): each maps
coordinates, and where a pixel of bottom 1 is in bottom 0 follows from all of them together. The net must be known for
that; see `bicerin_segmentation.hooks`. Until then, and in `bicerin check`, the part begins at 0: its shape is the same.
A layer with a `crop_param` cuts where that says.

Source: J. Long et al., "Fully convolutional networks for semantic segmentation", 2015, and the layer of that name in
its fork of Caffe.
"""

from __future__ import annotations

from collections.abc import Sequence

from bicerin_structure.crop import CropLayer


class AutoCropLayer(CropLayer):
    """For bottoms `(N, C, H, W)`, `(_, _, h, w)`, the top is `(N, C, h, w)`.

    Attributes:
        aligned: where the part begins, for all cropped axes or for each; None as long as that is not known.
    """

    type = "AutoCrop"
    aligned: Sequence[int] | None = None

    def _offsets(self, cropped: int) -> list[int]:
        if self.aligned is None or self.param.HasField("crop_param"):
            return super()._offsets(cropped)
        return list(self.aligned) * (cropped if len(self.aligned) == 1 else 1)
