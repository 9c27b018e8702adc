"""The conformance kit finds every planted fault of device code on the emulated device, and passes the honest layer.

The faults are in device_mutants.py. Every access to memory is looked at, as `bicerin plugins check` does.
"""

from __future__ import annotations

import pytest
from device_mutants import CASE, MUTANTS, Device


@pytest.fixture(autouse=True)
def look_at_every_access(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BICERIN_EMULATED_CHECK", "access")


def test_the_honest_layer_passes(failing) -> None:
    assert failing(Device, CASE, "emulated") == {}


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.fault)
def test_a_planted_fault_is_found(mutant, failing) -> None:
    said = failing(mutant.made(), CASE, "emulated")
    assert mutant.found_by in said, said
