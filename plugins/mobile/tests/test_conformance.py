"""Every layer keeps the layer contract, and its gradient is that of its formula."""

from __future__ import annotations

from bicerin.testing import LayerConformance
from bicerin_mobile import cases


class TestDepthwiseConvolution(LayerConformance):
    cases = cases.DEPTHWISE_CONVOLUTION


class TestConvolutionDepthwise(LayerConformance):
    cases = cases.CONVOLUTION_DEPTHWISE


class TestReLU6(LayerConformance):
    cases = cases.RELU6


class TestShuffleChannel(LayerConformance):
    cases = cases.SHUFFLE_CHANNEL


class TestAxpy(LayerConformance):
    cases = cases.AXPY


class TestUpsample(LayerConformance):
    cases = cases.UPSAMPLE


class TestInterp(LayerConformance):
    cases = cases.INTERP


class TestBN(LayerConformance):
    cases = cases.BN
