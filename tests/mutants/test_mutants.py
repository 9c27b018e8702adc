"""The conformance kit finds every planted fault that a layer may have on the CPU, and passes the honest layers.

The layers are in mutants.py. Faults that only a device has are planted in tests/devices/test_mutants.py.
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

planted = SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("mutants.py"))))
DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture
def provide(monkeypatch: pytest.MonkeyPatch) -> Iterator[object]:
    """Makes a class the layer of its type, as an installed plugin would."""
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


def found(layer_type: str) -> dict[str, str]:
    """What each check that fails says."""
    said = {}
    for name, check in CHECKS.items():
        try:
            check(planted.CASES[layer_type], "cpu")
        except Exception as error:
            said[name] = str(error)
    return said


@pytest.mark.parametrize("honest", planted.HONEST, ids=lambda cls: cls.type)
def test_an_honest_layer_passes(honest: type[Layer], provide) -> None:
    provide(honest)
    assert found(honest.type) == {}


@pytest.mark.parametrize("mutant", planted.MUTANTS, ids=lambda mutant: mutant.fault)
def test_a_planted_fault_is_found(mutant, provide) -> None:
    provide(mutant.made())
    assert mutant.found_by in found(mutant.layer.type)


def test_every_check_finds_something() -> None:
    on_device = runpy.run_path(str(Path(__file__).with_name("device_mutants.py")))["MUTANTS"]
    assert {mutant.found_by for mutant in [*planted.MUTANTS, *on_device]} == set(CHECKS)


def test_the_page_is_current() -> None:
    page = (DOCS / "conformance-kit.md").read_text(encoding="utf-8")
    written = runpy.run_path(str(DOCS / "conformance_table.py"))["written"](page)
    assert page == written, "run `python docs/conformance_table.py`: the checks or the planted faults have changed"
