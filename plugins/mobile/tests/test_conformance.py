"""Every layer keeps the layer contract, and its gradient is that of its formula."""

from __future__ import annotations

import numpy as np
import pytest

from bicerin.testing import LayerConformance
from bicerin.testing.case import LayerCase
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


class TestImResize(LayerConformance):
    cases = cases.IMRESIZE


class TestNms(LayerConformance):
    cases = cases.NMS


class TestMaximum(LayerConformance):
    cases = cases.MAXIMUM


class TestSpatialTransformer(LayerConformance):
    cases = cases.SPATIAL_TRANSFORMER


@pytest.mark.parametrize("case", [case for case in cases.CASES if case.gradient], ids=str)
def test_no_gradient_reads_the_top(case: LayerCase, device: str) -> None:
    """So that the next layer may work in place on it."""
    plain, overwritten = (case.run(dtype=np.float64, device=device) for _ in range(2))
    for run in (plain, overwritten):
        run.forward()
        run.top[0].diff[...] = np.random.default_rng(3).normal(size=run.top[0].shape)
    overwritten.top[0].data.fill(np.nan)
    for run in (plain, overwritten):
        run.backward()
    for ours, theirs in zip([*overwritten.bottom, *overwritten.blobs], [*plain.bottom, *plain.blobs], strict=True):
        np.testing.assert_allclose(ours.diff, theirs.diff, rtol=1e-12, atol=1e-12)
