"""ROIAlign: values between pixels, at a fixed number of places of regions of any size.

There are three layers of this name:

- with `roi_pooling_param`, makefile/frcnn's, top `(R, C, pooled_h, pooled_w)`: one sample in the middle of each bin. A
  region grows by `pad_ratio` of its sides, (x2 - x1 + 1) in pixels of the image, on either side, is scaled, begins at
  0 or later, ends at round(W / `spatial_scale`) - 1 or before, and is at least 1 wide. With `bi_type: 1`, the default,
  the sample is a cubic convolution (a = -1) of 4 x 4 pixels; with `bi_type: 0` it is linear, of 2 x 2, and 0 on the
  last row or column of the map, where there is no pixel after it: a quirk that is kept. On its GPU, the fork takes the
  greatest of four samples unless `is_multi_interpolate` is false; here, as on its CPU, there is one.
- with `roi_pooling_param { samples: CORNERS }`, that of Cascade R-CNN and MS-CNN, top `(R, C, pooled_h + 1,
  pooled_w + 1)`: linear samples at the corners of the bins. The region grows in the same way, is scaled and shifted by
  half a pixel. Samples more than half a pixel outside of the map are 0, and so are all of a region without an extent.
- with `roi_align_param`, Mask R-CNN's (He et al., 2017), top `(R, C, pooled_h, pooled_w)`: the mean over
  `sampling_ratio` x `sampling_ratio` linear samples in each bin, or, where that is not positive, over as many as a bin
  has pixels, rounded up. The region is scaled, and at least 1 wide. Samples more than a pixel outside of the map are 0.

frcnn's and Cascade R-CNN's nets cannot be told apart: without `samples` frcnn's is taken, and a warning says so.

Regions have no gradient.

Source: the ROIAlignLayers of makefile/frcnn and of zhaoweicai/cascade-rcnn; the last as in Detectron.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from math import ceil, floor
from typing import Any

import numpy as np

from bicerin.errors import LayerError, ShapeError
from bicerin.layer import Blob, enum_name
from bicerin_rcnn.region_sampling_layer import RegionSamplingLayer
from bicerin_rcnn.regions import require_regions
from bicerin_rcnn.taps import Taps, cubic_taps, linear_taps, linear_taps_without_last

_log = logging.getLogger("bicerin.layer")

#: More samples in a bin, along one axis, are refused: the region is far larger than any map.
MOST_SAMPLES = 1024


class ROIAlignLayer(RegionSamplingLayer):
    """Bottom 0: maps, `(N, C, H, W)`. Bottom 1: regions `(image, x1, y1, x2, y2)` in pixels of the image, `(R, 5)` or
    `(R, 5, 1, 1)`; `spatial_scale` takes them to the map. Top: as above.
    """

    type = "ROIAlign"

    def layer_set_up(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        averages = self.param.HasField("roi_align_param")
        if averages and self.param.HasField("roi_pooling_param"):
            raise LayerError("roi_pooling_param and roi_align_param are of different layers.", "Give one of them.")
        param = self.param.roi_align_param if averages else self.param.roi_pooling_param
        for name in ("pooled_h", "pooled_w"):
            if getattr(param, name) < 1:
                raise ShapeError(f"{name} must be > 0", "It is the number of bins.")
        if not param.spatial_scale > 0:
            raise ShapeError(
                f"spatial_scale must be > 0, not {param.spatial_scale:g}.",
                "It is the size of the map by that of the image, as 0.0625.",
            )
        self.spatial_scale: float = param.spatial_scale
        self.shape: tuple[int, int] = (param.pooled_h, param.pooled_w)
        if averages:
            self.kind, self.sampling_ratio = "averages", int(param.sampling_ratio)
        else:
            self._read_fork(param)

    def _read_fork(self, param: Any) -> None:
        if param.pooled_size:
            raise ShapeError("ROIAlign takes pooled_h and pooled_w, not pooled_size.")
        if not 0 <= param.pad_ratio < np.inf:
            raise LayerError(f"pad_ratio must be 0 or more, not {param.pad_ratio:g}.")
        self.pad_ratio: float = param.pad_ratio
        if param.is_multi_interpolate:
            raise LayerError(
                "is_multi_interpolate takes the greatest of four samples, which the fork does on its GPU alone.",
                "Leave it out, or write false, for one sample, as on its CPU.",
            )
        if enum_name(param, "samples", ("CENTERS", "CORNERS")) == "CORNERS":
            if param.HasField("bi_type"):
                raise LayerError("samples: CORNERS are linear; bi_type is of frcnn's ROIAlign.")
            self.kind = "corners"
            self.shape = (param.pooled_h + 1, param.pooled_w + 1)
            return
        if param.bi_type > 1:
            raise LayerError(f"bi_type must be 0 (linear) or 1 (cubic), not {param.bi_type}.")
        self.kind = "cubic" if param.bi_type else "linear"
        if not param.HasField("samples") and not param.HasField("bi_type"):
            _log.warning(
                'layer "%s": ROIAlign samples the middles of bins, as makefile/frcnn does; for nets of Cascade R-CNN '
                "and MS-CNN write roi_pooling_param { samples: CORNERS }; samples: CENTERS leaves this warning out",
                self.name,
            )

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        require_regions(bottom[1])
        if not bottom[0].height * bottom[0].width:
            raise ShapeError(f"the maps have no pixels: {bottom[0].shape}.")
        top[0].reshape(bottom[1].num, bottom[0].channels, *self.shape)

    def taps(self, start: Any, stop: Any, size: int, pooled: int) -> Taps:
        taps: Taps = getattr(self, f"_taps_of_{self.kind}")(*self._grown(start, stop), size, pooled)
        return taps

    def _grown(self, start: Any, stop: Any) -> tuple[Any, Any]:
        """The ends of regions on the map, grown by `pad_ratio`."""
        if self.kind != "averages":
            pad = (stop - start + 1) * self.pad_ratio
            start, stop = start - pad, stop + pad
        return start * self.spatial_scale, stop * self.spatial_scale

    def _middles(self, start: Any, stop: Any, size: int, pooled: int) -> Any:
        """The middle of each bin, within the map, `(R, pooled)`."""
        xp = self.xp
        start = xp.maximum(start, 0)
        # As in the fork: the end of the image limits what is already in pixels of the map.
        stop = xp.minimum(stop, floor(size / self.spatial_scale + 0.5) - 1)
        length = xp.maximum(stop - start + 1, 1) / pooled
        steps = xp.arange(pooled, dtype=start.dtype) + 0.5
        return xp.clip(start[:, None] + steps * length[:, None], 0, size - 1)

    def _taps_of_cubic(self, start: Any, stop: Any, size: int, pooled: int) -> Taps:
        return cubic_taps(self.xp, self._middles(start, stop, size, pooled), size)

    def _taps_of_linear(self, start: Any, stop: Any, size: int, pooled: int) -> Taps:
        return linear_taps_without_last(self.xp, self._middles(start, stop, size, pooled), size)

    def _taps_of_corners(self, start: Any, stop: Any, size: int, pooled: int) -> Taps:
        xp = self.xp
        length = (stop - start)[:, None]
        at = (start - 0.5)[:, None] + xp.arange(pooled, dtype=start.dtype) * (length / (pooled - 1))
        counts = (length > 0) & (at >= -0.5) & (at <= size - 0.5)
        return linear_taps(xp, at[..., None], size, counts[..., None])

    def _taps_of_averages(self, start: Any, stop: Any, size: int, pooled: int) -> Taps:
        xp = self.xp
        length = xp.maximum(stop - start, 1) / pooled
        number, most = self._samples_of(length)
        steps = (xp.arange(most, dtype=start.dtype) + 0.5) / number[:, None]
        places = xp.arange(pooled, dtype=start.dtype)[:, None] + steps[:, None]
        at = start[:, None, None] + places * length[:, None, None]
        counts = (at >= -1) & (at <= size) & (xp.arange(most) < number[:, None, None])
        return linear_taps(xp, at, size, counts / number[:, None, None])

    def _samples_of(self, length: Any) -> tuple[Any, int]:
        """How many samples each region has in a bin along one axis, `(R,)`, and the most of them."""
        xp = self.xp
        if self.sampling_ratio > 0:
            return xp.full(length.shape, self.sampling_ratio, length.dtype), self.sampling_ratio
        number = xp.ceil(length)
        most = ceil(self.context.device.read_number(number.max())) if number.size else 1
        if most > MOST_SAMPLES:
            raise LayerError(
                f"a region has bins of {most} pixels of the map, for as many samples.",
                "Give roi_align_param { sampling_ratio: 2 }, or regions within their image.",
            )
        return number, most
