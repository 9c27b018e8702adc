"""PSROIAlign: PSROIPooling that samples between pixels, each bin from maps of its own.

top[r, d, i, j] = the sum of map (d G + i) G + j at S² places in bin (i, j) of region r, divided by S², S being
`sample_num`. A region goes from x1 to x2 + 1, scaled and not rounded, and is at least 0.1 wide. A bin begins and ends
within the first and the last pixel of the map; from its beginning on, its places are 1 to S times (its length before
that) / (S + 1) away, of which those at its end or beyond do not count.

The gradient is that of the formula. (The fork's is for the GPU alone, and loses what the last pixel of a bin is due.)
Regions have none.

Source: the PSROIAlignLayer of makefile/frcnn.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bicerin.errors import LayerError, ShapeError
from bicerin.layer import Blob
from bicerin_rcnn.region_sampling_layer import RegionSamplingLayer
from bicerin_rcnn.regions import require_grouped_maps, require_regions
from bicerin_rcnn.taps import Taps, linear_taps


class PSROIAlignLayer(RegionSamplingLayer):
    """G is `group_size`. Bottom 0: maps, `(N, output_dim * G^2, H, W)`. Bottom 1: regions `(image, x1, y1, x2, y2)` in
    pixels of the image, `(R, 5)` or `(R, 5, 1, 1)`; `spatial_scale` takes them to the map. Top:
    `(R, output_dim, G, G)`.
    """

    type = "PSROIAlign"

    def layer_set_up(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        param = self.param.psroi_align_param
        for name in ("spatial_scale", "output_dim", "group_size", "sample_num"):
            if not getattr(param, name) > 0:
                raise LayerError(f"{name} must be > 0", f"Give psroi_align_param {{ {name}: ... }}.")
        self.spatial_scale: float = param.spatial_scale
        self.output_dim: int = param.output_dim
        self.group: int = param.group_size
        self.sample_num: int = param.sample_num

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        require_regions(bottom[1])
        require_grouped_maps(bottom[0], self.output_dim, self.group)
        if not bottom[0].height * bottom[0].width:
            raise ShapeError(f"the maps have no pixels: {bottom[0].shape}.")
        top[0].reshape(bottom[1].num, self.output_dim, self.group, self.group)

    def taps(self, start: Any, stop: Any, size: int, pooled: int) -> Taps:
        xp = self.xp
        start, stop = start * self.spatial_scale, (stop + 1) * self.spatial_scale
        length = (xp.maximum(stop - start, 0.1) / pooled)[:, None]
        edges = xp.clip(xp.arange(pooled + 1, dtype=start.dtype) * length + start[:, None], 0, size - 1)
        steps = xp.arange(1, self.sample_num + 1, dtype=start.dtype) * (length / (self.sample_num + 1))
        at = edges[:, :-1, None] + steps[:, None]
        return linear_taps(xp, at, size, (at < edges[:, 1:, None]) / self.sample_num)
