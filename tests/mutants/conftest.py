"""The kit run on a class that stands in for an installed layer. The modules beside the tests can be imported."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bicerin.discovery import registry
from bicerin.discovery.registry import Provider
from bicerin.layer import Layer
from bicerin.layer.layer import layers
from bicerin.testing import CHECKS, LayerCase

sys.path.insert(0, str(Path(__file__).parent))

Failing = Callable[[type[Layer], LayerCase, str], dict[str, str]]


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> Iterator[Failing]:
    """Makes a class the layer of its type, as an installed plugin would; returns what each check that fails says."""
    index = {group: dict(names) for group, names in registry.plugin_index().items()}
    monkeypatch.setattr(registry, "plugin_index", lambda: index)
    added = []

    def failing(cls: type[Layer], case: LayerCase, device: str) -> dict[str, str]:
        provider = Provider("bicerin.layers", cls.type, f"{__name__}:{cls.__name__}", "mutants", "1.0", 1)
        index["bicerin.layers"][cls.type] = (provider,)
        layers._loaded[provider] = cls
        added.append(provider)
        said = {}
        for name, check in CHECKS.items():
            try:
                check(case, device)
            except Exception as error:
                said[name] = str(error)
        return said

    yield failing
    for provider in added:
        layers._loaded.pop(provider, None)
