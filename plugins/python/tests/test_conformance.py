"""A Python layer keeps the layer contract as any other does."""

from __future__ import annotations

from bicerin.testing import LayerConformance
from bicerin_python.cases import CASES


class TestPython(LayerConformance):
    cases = CASES
