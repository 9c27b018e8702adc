"""Every layer keeps the layer contract."""

from __future__ import annotations

import numpy as np
import pytest

from bicerin.errors import LayerError
from bicerin.testing import LayerConformance, run_layer
from bicerin_segmentation import cases


class TestUnPooling(LayerConformance):
    cases = cases.UNPOOLING


class TestMultiStageMeanfield(LayerConformance):
    cases = cases.MULTI_STAGE_MEANFIELD


class TestSegAccuracy(LayerConformance):
    cases = cases.SEG_ACCURACY


class TestAutoCrop(LayerConformance):
    cases = cases.AUTO_CROP


class TestParseOutput(LayerConformance):
    cases = cases.PARSE_OUTPUT


class TestParseEvaluate(LayerConformance):
    cases = cases.PARSE_EVALUATE


class TestDiceCoefLoss(LayerConformance):
    cases = cases.DICE_COEF_LOSS


class TestDeconvNetUnpooling(LayerConformance):
    cases = cases.UNPOOLING_OF_DECONVNET


@pytest.mark.parametrize("label", [4, -1, np.nan])
def test_a_label_that_is_no_class(label: float) -> None:
    with pytest.raises(LayerError, match=r"is no class \(1 of 4 are not\)"):
        run_layer('type: "SegAccuracy"', [np.zeros((1, 4, 2, 2)), np.array([[[[0, 1], [2, label]]]])]).forward()
