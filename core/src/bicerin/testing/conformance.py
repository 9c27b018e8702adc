"""A test class that proves a layer: subclass it, name the layer, list its cases.

class TestReverse(LayerConformance):
    cases = [layer_case("plain", 'type: "Reverse"', [(2, 3)])]
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import pytest

from bicerin.testing.case import LayerCase
from bicerin.testing.checks import CHECKS


class LayerConformance:
    """Runs every check of `bicerin.testing.checks` on every case, on the devices of pytest's `--device` option.

    Attributes:
        cases: the layer's table, made with `layer_case`.
        deviations: checks that the layer is known to fail, each with the reason. Such a check must fail: when the layer
            passes it, the entry is out of date and the test says so.
    """

    cases: ClassVar[Sequence[LayerCase]] = ()
    deviations: ClassVar[dict[str, str]] = {}

    def __init_subclass__(cls, **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        unknown = {*cls.deviations, *(name for case in cls.cases for name in case.without)} - set(CHECKS)
        if unknown:
            raise TypeError(f"{cls.__name__}: unknown checks {sorted(unknown)}; there are: {', '.join(CHECKS)}")
        if not cls.cases:
            raise TypeError(f"{cls.__name__} lists no cases, so it would prove nothing")

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        if "check" not in metafunc.fixturenames:
            return
        rows = []
        for name in CHECKS:
            marks = (
                [pytest.mark.xfail(reason=self.deviations[name], strict=True, raises=Exception)]
                if name in self.deviations
                else []
            )
            rows += [
                pytest.param(name, case, id=f"{name}-{case.name}", marks=marks)
                for case in self.cases
                if name not in case.without
            ]
        metafunc.parametrize(("check", "case"), rows)

    def test_layer(self, check: str, case: LayerCase, device: str) -> None:
        CHECKS[check](case, device)
