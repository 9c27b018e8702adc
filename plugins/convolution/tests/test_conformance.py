"""What every layer must do, for each of the shipped cases."""

from __future__ import annotations

from bicerin.testing import LayerConformance
from bicerin_convolution.cases import CASES


class TestConvolution(LayerConformance):
    cases = CASES
