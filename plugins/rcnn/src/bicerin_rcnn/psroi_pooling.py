"""PSROIPooling: averages over bins of regions, each bin from maps of its own. Dai et al., R-FCN, 2016.

top[r, d, i, j] = the mean of map (d G + i) G + j over bin (i, j) of region r, or 0 where the bin is empty.

Source: the PSROIPoolingLayer of R-FCN's Caffe.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bicerin.errors import LayerError
from bicerin.layer import Blob, BlobCounts, Layer, Operations
from bicerin_rcnn.regions import require_grouped_maps, require_regions


class PSROIPoolingLayer(Layer):
    """G is `group_size`. Bottom 0: maps, `(N, output_dim * G^2, H, W)`. Bottom 1: regions `(image, x1, y1, x2, y2)` in
    pixels of the image, `(R, 5)` or `(R, 5, 1, 1)`; `spatial_scale` takes them to the map. Top:
    `(R, output_dim, G, G)`. Regions have no gradient.
    """

    type = "PSROIPooling"
    operations = Operations("psroi_pooling_kernels", cuda="regions.cu")
    counts = BlobCounts(bottom=2, top=1)
    allows_in_place = False

    def layer_set_up(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        param = self.param.psroi_pooling_param
        for name in ("spatial_scale", "output_dim", "group_size"):
            if getattr(param, name) <= 0:
                raise LayerError(f"{name} must be > 0", f"Give psroi_pooling_param {{ {name}: ... }}.")
        self.spatial_scale: float = param.spatial_scale
        self.output_dim: int = param.output_dim
        self.group_size: int = param.group_size

    def allow_force_backward(self, bottom_index: int) -> bool:
        return bottom_index == 0

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        require_regions(bottom[1])
        require_grouped_maps(bottom[0], self.output_dim, self.group_size)
        top[0].reshape(bottom[1].num, self.output_dim, self.group_size, self.group_size)

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        maps, regions = self._grouped(bottom[0], bottom[0].data), bottom[1].data.reshape(-1, 5)
        self.bins = self.ops.average_pool(maps, regions, self.spatial_scale, top[0].data)

    def backward(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        if propagate_down[0]:
            diff, regions = self._grouped(bottom[0], bottom[0].diff), bottom[1].data.reshape(-1, 5)
            self.ops.average_pool_backward(top[0].diff, regions, self.spatial_scale, self.bins, diff)
        if propagate_down[1]:
            bottom[1].diff.fill(0)

    def _grouped(self, blob: Blob, array: Any) -> Any:
        """The maps by output and bin: `(N, output_dim, G, G, H, W)`."""
        return array.reshape(blob.num, self.output_dim, self.group_size, self.group_size, blob.height, blob.width)
