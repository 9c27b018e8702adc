"""PSROIPooling: averages over bins of regions, each bin from maps of its own. Dai et al., R-FCN, 2016."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bicerin.errors import LayerError, ShapeError
from bicerin.layer import Blob, BlobCounts, Layer, Operations
from bicerin_rcnn import psroi_pooling_kernels as kernels
from bicerin_rcnn.regions import Bins, read_regions, require_regions, scaled_bins


class PSROIPoolingLayer(Layer):
    """top[r, d, i, j] = the mean of map (d G + i) G + j over bin (i, j) of region r, or 0 where the bin is empty.

    G is `group_size`. Bottom 0: maps, `(N, output_dim * G^2, H, W)`. Bottom 1: regions `(image, x1, y1, x2, y2)` in
    pixels of the image, `(R, 5)` or `(R, 5, 1, 1)`; `spatial_scale` takes them to the map. Top:
    `(R, output_dim, G, G)`. Regions have no gradient.

    Source: the PSROIPoolingLayer of R-FCN's Caffe.
    """

    type = "PSROIPooling"
    operations = Operations(cuda="regions.cu")
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
        wanted = self.output_dim * self.group_size**2
        if bottom[0].channels != wanted:
            raise ShapeError(
                f"input channel number does not match layer parameters: {bottom[0].channels} against {wanted}.",
                f"It is output_dim * group_size^2 = {self.output_dim} * {self.group_size}^2.",
            )
        top[0].reshape(bottom[1].num, self.output_dim, self.group_size, self.group_size)

    def forward_cpu(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        image, corners = read_regions(bottom[1], bottom[0].num)
        x1, y1, x2, y2 = corners.T
        rows = scaled_bins(y1, y2, self.spatial_scale, self.group_size, bottom[0].height)
        columns = scaled_bins(x1, x2, self.spatial_scale, self.group_size, bottom[0].width)
        self.bins = Bins(image, rows, columns)
        kernels.average_pool_regions(_grouped(bottom[0], bottom[0].data, top[0]), *self.bins, top[0].data)

    def backward_cpu(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        if propagate_down[0]:
            diff = _grouped(bottom[0], bottom[0].diff, top[0])
            kernels.average_pool_regions_backward(diff, *self.bins, top[0].diff)
        if propagate_down[1]:
            bottom[1].diff.fill(0)

    def forward_gpu(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        y = top[0].data
        maps, regions = (blob.data for blob in bottom)
        self.ops.kernels.average_pool(y.size, maps, regions, y, *self._sizes(bottom[0]))

    def backward_gpu(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        if propagate_down[0]:
            diff, regions = bottom[0].diff, bottom[1].data
            diff.fill(0)
            y_diff = top[0].diff
            self.ops.kernels.average_backward(y_diff.size, y_diff, regions, diff, *self._sizes(bottom[0]))
        if propagate_down[1]:
            bottom[1].diff.fill(0)

    def _sizes(self, maps: Blob) -> tuple[float, ...]:
        return self.spatial_scale, maps.num, self.output_dim, maps.height, maps.width, self.group_size


def _grouped(blob: Blob, array: np.ndarray, top: Blob) -> np.ndarray:
    """The maps by output and bin: `(N, output_dim, G, G, H, W)`."""
    return array.reshape(blob.num, *top.shape[1:], blob.height, blob.width)
