"""Every layer keeps the layer contract."""

from __future__ import annotations

from bicerin.testing import LayerConformance
from bicerin_face import cases


class TestCenterLoss(LayerConformance):
    cases = cases.CENTER_LOSS


class TestTripletLoss(LayerConformance):
    cases = cases.TRIPLET_LOSS


class TestGeneralContrastiveLoss(LayerConformance):
    cases = cases.GENERAL_CONTRASTIVE_LOSS


class TestGeneralTripletLoss(LayerConformance):
    cases = cases.GENERAL_TRIPLET_LOSS


class TestFocalLoss(LayerConformance):
    cases = cases.FOCAL_LOSS


class TestMarginInnerProduct(LayerConformance):
    cases = cases.MARGIN_INNER_PRODUCT


class TestLargeMarginInnerProduct(LayerConformance):
    cases = cases.LARGE_MARGIN_INNER_PRODUCT


class TestInnerDistance(LayerConformance):
    cases = cases.INNER_DISTANCE


class TestLabelSpecificRescale(LayerConformance):
    cases = cases.LABEL_SPECIFIC_RESCALE


class TestGlobalLSEMargin(LayerConformance):
    cases = cases.GLOBAL_LSE_MARGIN


class TestLabeledMatching(LayerConformance):
    cases = cases.LABELED_MATCHING


class TestUnlabeledMatching(LayerConformance):
    cases = cases.UNLABELED_MATCHING


class TestLabelSpecificAdd(LayerConformance):
    cases = cases.LABEL_SPECIFIC_ADD


class TestChannelScale(LayerConformance):
    cases = cases.CHANNEL_SCALE


class TestFlip(LayerConformance):
    cases = cases.FLIP


class TestPairwise(LayerConformance):
    cases = cases.PAIRWISE


class TestGram(LayerConformance):
    cases = cases.GRAM


class TestSlope(LayerConformance):
    cases = cases.SLOPE


class TestTruncation(LayerConformance):
    cases = cases.TRUNCATION


class TestSoftTruncation(LayerConformance):
    cases = cases.SOFT_TRUNCATION


class TestArccos(LayerConformance):
    cases = cases.ARCCOS


class TestCosine(LayerConformance):
    cases = cases.COSINE
