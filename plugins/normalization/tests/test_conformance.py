"""Every layer keeps the layer contract, and its gradient is that of its formula."""

from __future__ import annotations

from bicerin.testing import LayerConformance
from bicerin_normalization import cases


class TestLRN(LayerConformance):
    cases = cases.LRN


class TestMVN(LayerConformance):
    cases = cases.MVN


class TestBatchNorm(LayerConformance):
    cases = cases.BATCH_NORM


class TestScale(LayerConformance):
    cases = cases.SCALE


class TestBias(LayerConformance):
    cases = cases.BIAS
