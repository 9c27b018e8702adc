"""Every layer keeps the layer contract, and its gradient is that of its formula."""

from __future__ import annotations

from bicerin.testing import LayerConformance
from bicerin_ssd import cases


class TestPermute(LayerConformance):
    cases = cases.PERMUTE


class TestNormalize(LayerConformance):
    cases = cases.NORMALIZE


class TestPriorBox(LayerConformance):
    cases = cases.PRIOR_BOX


class TestPriorBoxClustered(LayerConformance):
    cases = cases.PRIOR_BOX_CLUSTERED


class TestMultiBoxLoss(LayerConformance):
    cases = cases.MULTIBOX_LOSS


class TestDetectionOutput(LayerConformance):
    cases = cases.DETECTION_OUTPUT


class TestDetectionEvaluate(LayerConformance):
    cases = cases.DETECTION_EVALUATE
