"""NdPooling: each window over any number of axes becomes one value, its greatest (MAX) or its mean (AVE).

`pooling_param`'s `kernel_shape`, `stride_shape` and `pad_shape` give a size for each spatial axis; with
`global_pooling` the window is all of them. No window reaches over the edge of what is padded.

Source: the CudnnNdPoolingLayer of video-caffe. What differs: an axis of which one window is left stays, with length 1;
there some versions drop it.
"""

from __future__ import annotations

from collections.abc import Sequence

from bicerin.errors import LayerError
from bicerin.layer import Blob, enum_name
from bicerin_pooling.spatial_pooling import SpatialPoolingLayer, Windows
from bicerin_video.axis_sizes import axis_sizes, refuse_other_sizes
from bicerin_video.pooling3d import METHODS


class NdPoolingLayer(SpatialPoolingLayer):
    """Bottom: `(N, C, spatial...)`, of one spatial axis or more. Top: `(N, C, spatial'...)`."""

    type = "NdPooling"

    def layer_set_up(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        super().layer_set_up(bottom, top)
        param = self.param.pooling_param
        self.method = enum_name(param, "pool", METHODS)
        if self.method == "STOCHASTIC":
            raise LayerError("cuDNN, with which video-caffe pools, has no STOCHASTIC pooling; pool is MAX or AVE.")
        if not param.global_pooling and not param.HasField("kernel_shape"):
            raise LayerError(
                "pooling_param has no kernel_shape.", "kernel_shape { dim: 1 dim: 2 dim: 2 } is one of 3 axes."
            )
        refuse_other_sizes(param)
        if param.HasField("round_mode") and param.round_mode == param.CEIL:
            raise LayerError("no window reaches over the edge: round_mode: CEIL is not known here; leave it out.")

    def windows_of(self, spatial: tuple[int, ...]) -> Windows:
        param, axes = self.param.pooling_param, len(spatial)
        return Windows(
            spatial if param.global_pooling else axis_sizes(param, "kernel_shape", axes, 1),
            axis_sizes(param, "stride_shape", axes, 1),
            axis_sizes(param, "pad_shape", axes, 0),
            ceil=False,
        )
