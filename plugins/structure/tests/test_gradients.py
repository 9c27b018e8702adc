"""The layer contract and the gradient of every layer of the family, over options and shapes."""

from bicerin.testing import LayerConformance
from bicerin_structure.cases import CASES


class TestLayers(LayerConformance):
    cases = CASES
