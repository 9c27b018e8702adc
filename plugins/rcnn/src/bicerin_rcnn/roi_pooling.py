"""ROIPooling: maxima over a fixed number of bins of regions of any size. Girshick, Fast R-CNN, 2015.

top[r, c, i, j] = the maximum of image r's map c over bin (i, j) of region r, or 0 where the bin is empty.

The gradient goes to the first of the greatest pixels. Regions have none: their bins are whole pixels.

Source: the ROIPoolingLayer of Fast R-CNN's Caffe. There, a region whose end lies before its start is pooled as one
pixel, which then gets no gradient; here it gets it.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import numpy as np

from bicerin.errors import LayerError, ShapeError
from bicerin.layer import Blob, BlobCounts, Layer, Operations
from bicerin_rcnn.regions import require_regions

_log = logging.getLogger("bicerin.layer")


class ROIPoolingLayer(Layer):
    """Bottom 0: maps, `(N, C, H, W)`. Bottom 1: regions `(image, x1, y1, x2, y2)` in pixels of the image, `(R, 5)` or
    `(R, 5, 1, 1)`; `spatial_scale` takes them to the map. Where it is negative, they are parts of the image, from 0
    to 1, as in jolibrain's Caffe, whose default that is; where there is none, they are in pixels of the map. With
    `pad_ratio`, of Cascade R-CNN and MS-CNN, they grow by that part of their sides, (x2 - x1 + 1), on either side.
    Top: `(R, C, pooled_h, pooled_w)`.
    """

    type = "ROIPooling"
    operations = Operations("roi_pooling_kernels", cuda="regions.cu")
    counts = BlobCounts(bottom=2, top=1)
    allows_in_place = False

    def layer_set_up(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        param = self.param.roi_pooling_param
        size = list(param.pooled_size) or [param.pooled_h, param.pooled_w]
        if len(size) > 2:
            raise ShapeError(f"pooled_size is given {len(size)} times.", "Give it once, or for rows and columns.")
        self.pooled_h, self.pooled_w = size[0], size[-1]
        for name, pooled in (("pooled_h", self.pooled_h), ("pooled_w", self.pooled_w)):
            if pooled < 1:
                raise ShapeError(f"{name} must be > 0", "roi_pooling_param gives the number of bins.")
        if not param.spatial_scale:
            raise ShapeError(
                "spatial_scale must not be 0.",
                "It is the size of the map by that of the image, as 0.0625; -1 where regions are given from 0 to 1.",
            )
        self.spatial_scale: float = param.spatial_scale
        for name in ("bi_type", "is_multi_interpolate", "samples"):
            if param.HasField(name):
                raise LayerError(f"{name} is of ROIAlign; ROIPooling takes the greatest pixels.")
        self.pad_ratio: float = param.pad_ratio
        if not 0 <= self.pad_ratio < np.inf or (self.pad_ratio and self.spatial_scale < 0):
            raise LayerError(
                f"pad_ratio must be 0 or more, not {self.pad_ratio:g}, and 0 where regions are parts of the image."
            )
        #: Without `spatial_scale` the first regions must tell pixels from parts; looking at them costs a device a copy.
        self.doubtful: bool = not param.HasField("spatial_scale")
        if self.doubtful:
            _log.warning(
                'layer "%s": ROIPooling without spatial_scale takes regions in pixels of the map, as Fast R-CNN does; '
                "jolibrain's Caffe takes them from 0 to 1: write spatial_scale: 1 for the first, -1 for the second",
                self.name,
            )
        #: The place of each maximum in its plane, y * W + x; -1 for none.
        self.mask = self.new_blob(name="mask", dtype=np.int32)

    def allow_force_backward(self, bottom_index: int) -> bool:
        return bottom_index == 0

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        require_regions(bottom[1])
        shape = (bottom[1].num, bottom[0].channels, self.pooled_h, self.pooled_w)
        top[0].reshape(*shape)
        self.mask.reshape(*shape)

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        maps, (regions, scale) = _planes(bottom[0], bottom[0].data), self._regions(bottom)
        self.ops.max_pool(maps, regions, scale, top[0].data, self.mask.data)
        if self.doubtful and regions.size:
            self._refuse_parts(regions)

    def backward(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        if propagate_down[0]:
            (regions, _), diff = self._regions(bottom), _planes(bottom[0], bottom[0].diff)
            self.ops.max_pool_backward(top[0].diff, regions, self.mask.data, diff)
        if propagate_down[1]:
            bottom[1].diff.fill(0)

    def _refuse_parts(self, regions: Any) -> None:
        """LayerError where regions that should be pixels look like parts of an image."""
        if 0 < float(regions[:, 1:].max()) <= 1:
            raise LayerError(
                "all regions lie between 0 and 1: parts of the image, as jolibrain's Caffe takes them without "
                "spatial_scale, or pixels, as Fast R-CNN does?",
                "Write spatial_scale: -1 for parts of the image, 1 for pixels of the map.",
            )
        self.doubtful = False

    def _regions(self, bottom: Sequence[Blob]) -> tuple[Any, float]:
        """The regions, `(R, 5)`, and what takes them to the map."""
        regions = bottom[1].data.reshape(-1, 5)
        if self.spatial_scale > 0 and not self.pad_ratio:
            return regions, self.spatial_scale
        regions = regions.copy()
        if self.pad_ratio:
            pad = (regions[:, 3:] - regions[:, 1:3] + 1) * self.pad_ratio
            regions[:, 1:3] -= pad
            regions[:, 3:] += pad
            return regions, self.spatial_scale
        regions[:, 1::2] *= bottom[0].width
        regions[:, 2::2] *= bottom[0].height
        return regions, 1.0


def _planes(blob: Blob, array: Any) -> Any:
    return array.reshape(blob.num, blob.channels, blob.height, blob.width)
