"""DepthwiseConvolution: Convolution by another name; `convolution_param.group` is the number of channels.

Source: Howard et al., "MobileNets", 2017; the DepthwiseConvolutionLayer of yonghenglh6 and of MobileNet-YOLO, which on
the CPU is Caffe's Convolution.
"""

from __future__ import annotations

from bicerin_convolution.convolution import ConvolutionLayer


class DepthwiseConvolutionLayer(ConvolutionLayer):
    """A convolution of each channel by itself, for which Convolution is fast."""

    type = "DepthwiseConvolution"
