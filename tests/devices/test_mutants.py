"""The conformance kit finds every planted fault of device code on the emulated device, and passes the honest layer.

The faults are in tests/mutants/device_mutants.py. Every access to memory is looked at, as `bicerin plugins check` does.
"""

from __future__ import annotations

import runpy
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from bicerin.discovery import registry
from bicerin.discovery.registry import Provider
from bicerin.layer import Layer
from bicerin.layer.layer import layers
from bicerin.testing import CHECKS

MUTANTS = Path(__file__).parents[1] / "mutants" / "device_mutants.py"
planted = SimpleNamespace(**runpy.run_path(str(MUTANTS)))


@pytest.fixture
def provide(monkeypatch: pytest.MonkeyPatch) -> Iterator[object]:
    """Makes a class the layer of its type, as an installed plugin would."""
    monkeypatch.setenv("BICERIN_EMULATED_CHECK", "access")
    index = {group: dict(names) for group, names in registry.plugin_index().items()}
    monkeypatch.setattr(registry, "plugin_index", lambda: index)
    added = []

    def add(cls: type[Layer]) -> None:
        provider = Provider("bicerin.layers", cls.type, f"{__name__}:{cls.__name__}", "mutants", "1.0", 1)
        index["bicerin.layers"][cls.type] = (provider,)
        layers._loaded[provider] = cls
        added.append(provider)

    yield add
    for provider in added:
        layers._loaded.pop(provider, None)


def found() -> dict[str, str]:
    """What each check that fails says."""
    said = {}
    for name, check in CHECKS.items():
        try:
            check(planted.CASE, "emulated")
        except Exception as error:
            said[name] = str(error)
    return said


def test_the_honest_layer_passes(provide) -> None:
    provide(planted.Device)
    assert found() == {}


@pytest.mark.parametrize("mutant", planted.MUTANTS, ids=lambda mutant: mutant.fault)
def test_a_planted_fault_is_found(mutant, provide) -> None:
    provide(mutant.made())
    said = found()
    assert mutant.found_by in said, said
