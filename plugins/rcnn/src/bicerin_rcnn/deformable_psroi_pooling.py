"""DeformablePSROIPooling: means over bins of regions that offsets move, each bin from its own maps. Dai et al., 2017.

top[r, d, i, j] = the mean of S x S samples of map (d G + i) G + j, S being `sample_per_part`. A region goes from
scale · round(x1) - 0.5 to scale · (round(x2) + 1) - 0.5, and is at least 0.1 wide. Bin (i, j) begins at its part of
the region, moved by `trans_std` times the offset of the bin's class and part, times the region's side. Samples are
1 / S of a bin apart, from its beginning on. One that is more than half a pixel outside of the map does not count; of
none the mean is 0.

Offsets are those of part (i P // G, j P // G), P being `part_size`, and of the class of output d, where the outputs are
divided among as many classes as there are. Offsets have a gradient, regions have none.

Source: the DeformablePSROIPoolingLayer of makefile/frcnn, which has a backward pass on a GPU alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bicerin.errors import LayerError, ShapeError
from bicerin.layer import Blob, BlobCounts, Layer, Operations, between
from bicerin_rcnn.regions import require_grouped_maps, require_regions


class DeformablePSROIPoolingLayer(Layer):
    """G is `group_size`. Bottom 0: maps, `(N, output_dim * G^2, H, W)`. Bottom 1: regions `(image, x1, y1, x2, y2)`,
    `(R, 5)` or `(R, 5, 1, 1)`. Bottom 2, but for `no_trans`: offsets, to the right before down,
    `(R, 2 * classes, part_size, part_size)`. Top: `(R, output_dim, G, G)`.
    """

    type = "DeformablePSROIPooling"
    operations = Operations("deformable_regions_kernels")
    counts = BlobCounts(bottom=between(2, 3), top=1)
    allows_in_place = False

    def layer_set_up(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        param = self.param.deformable_psroi_pooling_param
        for name in ("spatial_scale", "output_dim", "group_size", "sample_per_part"):
            if not getattr(param, name) > 0:
                raise LayerError(f"{name} must be > 0", f"Give deformable_psroi_pooling_param {{ {name}: ... }}.")
        if param.no_trans != (len(bottom) == 2):
            raise LayerError("there must be a third bottom, of offsets, or no_trans: true, and not both.")
        self.spatial_scale: float = param.spatial_scale
        self.output_dim: int = param.output_dim
        self.group_size: int = param.group_size
        self.part_size: int = param.part_size or param.group_size
        self.samples: int = param.sample_per_part
        self.trans_std: float = param.trans_std
        if self.part_size < 0:
            raise LayerError(f"part_size must be > 0, not {self.part_size}.")
        #: How many samples each output is the mean of.
        self.numbers = self.new_blob(name="numbers")
        #: Offsets of 0, where there is no bottom for them.
        self.still = self.new_blob(name="still")

    def allow_force_backward(self, bottom_index: int) -> bool:
        return bottom_index != 1

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        require_regions(bottom[1])
        require_grouped_maps(bottom[0], self.output_dim, self.group_size)
        regions, part = bottom[1].num, self.part_size
        if len(bottom) > 2:
            offsets = bottom[2]
            self.classes = max(offsets.channels // 2, 1)
            wanted = (regions, 2 * self.classes, part, part)
            if offsets.shape != wanted or self.output_dim % self.classes:
                raise ShapeError(
                    f"the offsets must have the shape {wanted}, not {offsets.shape}, of classes that divide the "
                    f"{self.output_dim} outputs.",
                    "They are two for each class and part.",
                )
        else:
            self.classes = 1
            self.still.reshape(regions, 2, part, part)
            self.still.data.fill(0)
        if not bottom[0].height * bottom[0].width:
            raise ShapeError(f"the maps have no pixels: {bottom[0].shape}.")
        top[0].reshape(regions, self.output_dim, self.group_size, self.group_size)
        self.numbers.reshape(*top[0].shape)

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        self.image, corners, sense = self.ops.region_corners(bottom[1].data.reshape(-1, 5), bottom[0].num)
        self.frames = self._frames(corners, sense)
        maps = self._grouped(bottom[0], bottom[0].data)
        self.ops.pool(
            maps, self.image, self.frames, self._offsets(bottom), self.samples, top[0].data, self.numbers.data
        )

    def backward(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        given = (self.image, self.frames, self._offsets(bottom), self.samples)
        shares = top[0].diff / self.xp.maximum(self.numbers.data, 1)
        if propagate_down[0]:
            self.ops.pool_backward(shares, *given, self._grouped(bottom[0], bottom[0].diff))
        if len(bottom) > 2 and propagate_down[2]:
            offset_diff = bottom[2].diff.reshape(bottom[2].num, self.classes, 2, self.part_size, self.part_size)
            self.ops.pool_offset_gradient(shares, self._grouped(bottom[0], bottom[0].data), *given, offset_diff)
            offset_diff *= self.trans_std
        if propagate_down[1]:
            bottom[1].diff.fill(0)

    def _frames(self, corners: Any, sense: Any) -> Any:
        """Where each region begins, down and to the right, and its height and width, on the map: `(R, 4)`."""
        xp = self.xp
        # Halves away from zero, as C rounds.
        rounded = xp.where(corners < 0, xp.ceil(corners - 0.5), xp.floor(corners + 0.5))
        start = rounded[:, 1::-1] * self.spatial_scale - 0.5
        extent = xp.maximum((rounded[:, 3:1:-1] + 1) * self.spatial_scale - 0.5 - start, 0.1)
        frames = xp.concatenate([start, extent], axis=1)
        return frames if sense is None else frames * sense[:, None]

    def _offsets(self, bottom: Sequence[Blob]) -> Any:
        """By which part of its region's sides each part of each class is moved, `(R, classes, 2, P, P)`."""
        data = bottom[2].data * self.trans_std if len(bottom) > 2 else self.still.data
        return data.reshape(bottom[1].num, self.classes, 2, self.part_size, self.part_size)

    def _grouped(self, blob: Blob, array: Any) -> Any:
        """The maps by output and bin: `(N, output_dim, G, G, H, W)`."""
        return array.reshape(blob.num, self.output_dim, self.group_size, self.group_size, blob.height, blob.width)
