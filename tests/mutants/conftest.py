"""The kit run on a class that stands in for an installed layer. The modules beside the tests can be imported."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bicerin.layer import Layer
from bicerin.testing import CHECKS, LayerCase

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture
def failing(provided: Any) -> Callable[[type[Layer], LayerCase, str], dict[str, str]]:
    """What each check that fails says of a class, put in place of the layer of its type."""

    def failing(cls: type[Layer], case: LayerCase, device: str) -> dict[str, str]:
        provided.layer(cls)
        said = {}
        for name, check in CHECKS.items():
            try:
                check(case, device)
            except Exception as error:
                said[name] = str(error)
        return said

    return failing
