"""Every layer keeps the layer contract."""

from __future__ import annotations

from bicerin.testing import LayerConformance
from bicerin_video import cases


class TestConvolution3D(LayerConformance):
    cases = cases.CONVOLUTION3D


class TestNdConvolution(LayerConformance):
    cases = cases.ND_CONVOLUTION


class TestPooling3D(LayerConformance):
    cases = cases.POOLING3D


class TestNdPooling(LayerConformance):
    cases = cases.ND_POOLING


class TestGather(LayerConformance):
    cases = cases.GATHER


class TestScatter(LayerConformance):
    cases = cases.SCATTER


class TestBatchReduction(LayerConformance):
    cases = cases.BATCH_REDUCTION
