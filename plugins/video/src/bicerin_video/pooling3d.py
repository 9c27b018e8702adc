"""Pooling3D: each window of frames, height and width becomes one value, its greatest (MAX) or its mean (AVE).

`kernel_depth` and `temporal_stride` are sizes along the frames, `kernel_size`, `stride` and `pad` those along height
and width. The last window may reach over the edge. In nets of C3D 1.0 they stand in `pooling_param`.

Source: the Pooling3DLayer of C3D. What differs: of equal greatest values the first one has the whole gradient, as in
Pooling; in C3D each of them has.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bicerin.errors import LayerError, ShapeError
from bicerin.layer import Blob, enum_name
from bicerin_pooling.spatial_pooling import SpatialPoolingLayer, Windows

#: What C3D reads in `pooling_param`, and what changes nothing.
SIZES = {"pool", "kernel_size", "stride", "pad", "kernel_depth", "temporal_stride", "engine"}
METHODS = ("MAX", "AVE", "STOCHASTIC")


class Pooling3DLayer(SpatialPoolingLayer):
    """Bottom: `(N, C, L, H, W)`. Top: `(N, C, L', H', W')`."""

    type = "Pooling3D"

    def layer_set_up(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        super().layer_set_up(bottom, top)
        old, new = self.param.pooling_param, self.param.pooling3d_param
        if old.HasField("kernel_depth") and self.param.HasField("pooling3d_param"):
            raise LayerError("give pooling3d_param, or as in C3D 1.0 pooling_param; not both.")
        known = SIZES | ({"round_mode"} if old.round_mode == old.CEIL else set())
        if other := sorted({field.name for field, _ in old.ListFields()} - known):
            raise LayerError(
                f"{', '.join(other)} of pooling_param is not known to C3D.",
                "It has kernel_depth and temporal_stride along the frames, kernel_size, stride and pad along sides.",
            )
        self._own: Any = old if old.HasField("kernel_depth") else new
        self.method = enum_name(self._own, "pool", METHODS)
        if self.method == "STOCHASTIC":
            raise LayerError("C3D has no STOCHASTIC pooling either; pool is MAX or AVE.")
        if self._own.pad and self.method == "MAX":
            raise LayerError("Padding implemented only for average pooling.")

    def windows_of(self, spatial: tuple[int, ...]) -> Windows:
        own = self._own
        if len(spatial) != 3:
            raise ShapeError(f"the bottom must have the shape (N, C, L, H, W), not one of {len(spatial) + 2} axes.")
        return Windows(
            (own.kernel_depth, own.kernel_size, own.kernel_size),
            (own.temporal_stride, own.stride, own.stride),
            (0, own.pad, own.pad),
            ceil=True,
        )
