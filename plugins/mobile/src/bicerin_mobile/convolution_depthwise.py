"""ConvolutionDepthwise: Convolution with as many groups as there are channels, whatever `convolution_param.group` says.

`num_output` must be the number of channels; the weights have the shape (C, 1, kernel...).

Source: Zhang et al., "ShuffleNet", 2017; the ConvolutionDepthwiseLayer that ShuffleNet's Caffe nets use.
"""

from __future__ import annotations

from collections.abc import Sequence

from bicerin.errors import ShapeError
from bicerin.layer import Blob
from bicerin_convolution.convolution import ConvolutionLayer


class ConvolutionDepthwiseLayer(ConvolutionLayer):
    """A convolution of each channel by itself."""

    type = "ConvolutionDepthwise"

    def layer_set_up(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        param = self.param.convolution_param
        channels = bottom[0].shape[bottom[0].canonical_axis(param.axis)]
        if param.num_output != channels:
            raise ShapeError(
                f"num_output must be the number of channels: {param.num_output} against {channels}.",
                'For more filters per channel, use type: "Convolution" with group.',
            )
        param.group = channels
        super().layer_set_up(bottom, top)
