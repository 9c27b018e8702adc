"""Every layer keeps the layer contract."""

from __future__ import annotations

from bicerin.testing import LayerConformance
from bicerin_segmentation import cases


class TestUnPooling(LayerConformance):
    cases = cases.UNPOOLING


class TestMultiStageMeanfield(LayerConformance):
    cases = cases.MULTI_STAGE_MEANFIELD
