"""Every layer keeps the layer contract."""

from __future__ import annotations

from bicerin.testing import LayerConformance
from bicerin_ocr import cases


class TestCtcLoss(LayerConformance):
    cases = cases.CTC_LOSS


class TestContinuationIndicator(LayerConformance):
    cases = cases.CONTINUATION_INDICATOR


class TestLabelsequenceAccuracy(LayerConformance):
    cases = cases.LABELSEQUENCE_ACCURACY


class TestCTCGreedyDecoder(LayerConformance):
    cases = cases.CTC_GREEDY_DECODER


class TestLstm(LayerConformance):
    cases = cases.LSTM


class TestTranspose(LayerConformance):
    cases = cases.TRANSPOSE


class TestReverse(LayerConformance):
    cases = cases.REVERSE
