"""The conformance kit finds every planted fault that a layer may have on the CPU, and passes the honest layers.

The layers are in mutants.py. Faults that only a device has are tried in devices/test_device_mutants.py.
"""

from __future__ import annotations

import runpy
from pathlib import Path

import device_mutants
import pytest
from mutants import CASES, HONEST, MUTANTS

from bicerin.layer import Layer
from bicerin.testing import CHECKS

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize("honest", HONEST, ids=lambda cls: cls.type)
def test_an_honest_layer_passes(honest: type[Layer], failing) -> None:
    assert failing(honest, CASES[honest.type], "cpu") == {}


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.fault)
def test_a_planted_fault_is_found(mutant, failing) -> None:
    assert mutant.found_by in failing(mutant.made(), CASES[mutant.layer.type], "cpu")


def test_every_check_finds_something() -> None:
    assert {mutant.found_by for mutant in [*MUTANTS, *device_mutants.MUTANTS]} == set(CHECKS)


def test_the_page_is_current() -> None:
    page = (DOCS / "conformance-kit.md").read_text(encoding="utf-8")
    written = runpy.run_path(str(DOCS / "conformance_table.py"))["written"](page)
    assert page == written, "run `python docs/conformance_table.py`: the checks or the planted faults have changed"
