"""DepthwiseConvolution: a convolution of each channel by itself. Howard et al., MobileNets, 2017."""

from __future__ import annotations

from bicerin_convolution.convolution import ConvolutionLayer


class DepthwiseConvolutionLayer(ConvolutionLayer):
    """Convolution, by another name: `convolution_param` says the `group`, which is the number of channels.

    Source: the DepthwiseConvolutionLayer of yonghenglh6 and of MobileNet-YOLO, which on the CPU is Caffe's Convolution.
    Here Convolution is fast for such groups itself.
    """

    type = "DepthwiseConvolution"
