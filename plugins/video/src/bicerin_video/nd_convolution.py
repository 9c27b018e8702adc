"""NdConvolution: Convolution over any number of axes, which video-caffe gives with `kernel_shape`, `stride_shape` and
`pad_shape`: a size for each axis. The gaps between the kernel's elements are still `dilation`, the groups `group`.

Source: the CudnnNdConvolutionLayer of video-caffe.
"""

from __future__ import annotations

from collections.abc import Sequence

from bicerin.errors import LayerError
from bicerin.layer import Blob
from bicerin_convolution.convolution import ConvolutionLayer
from bicerin_video.axis_sizes import axis_sizes, refuse_other_sizes, sized


class NdConvolutionLayer(ConvolutionLayer):
    """Bottoms `(N, C, spatial...)` to tops `(N, num_output, spatial'...)`."""

    type = "NdConvolution"

    def layer_set_up(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        param = self.param.convolution_param
        if not param.HasField("kernel_shape"):
            raise LayerError(
                "convolution_param has no kernel_shape.", "kernel_shape { dim: 3 dim: 3 dim: 3 } is one of 3 axes."
            )
        axes = bottom[0].num_axes - bottom[0].canonical_axis(param.axis) - 1
        refuse_other_sizes(param)
        kernel, stride = axis_sizes(param, "kernel_shape", axes, 1), axis_sizes(param, "stride_shape", axes, 1)
        with sized(param, kernel, stride, axis_sizes(param, "pad_shape", axes, 0)):
            super().layer_set_up(bottom, top)
