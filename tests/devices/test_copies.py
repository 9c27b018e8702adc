"""Layers with code for a device copy nothing to or from the host once they run: Caffe's recorded cases, run twice.

On `emulated`, what CuPy copies unasked is counted too: a number for Python, the size of what a mask chooses.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from bicerin.testing.recorded import recorded_run

ROOT = Path(__file__).parents[2]
CASES = sorted(ROOT.glob("plugins/*/tests/recorded/*.npz"))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    metafunc.parametrize("name", metafunc.config.getoption("--device") or ["emulated"])


def test_there_are_cases(name: str) -> None:
    assert len(CASES) > 100


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.stem)
def test_nothing_is_copied(name: str, case: Path) -> None:
    run, values = recorded_run(case, device=name)
    if not run.node.runs_on_device:
        return
    flags = [f"diff{index}" in values for index in range(len(run.bottom))]
    learns = any(key.startswith(("diff", "blobdiff")) for key in values)

    def pass_through() -> None:
        run.forward()
        if learns:
            run.add_backward(flags)

    pass_through()
    transfers = run.layer.context.device.transfers
    before = transfers.to_host, transfers.to_device
    pass_through()
    after = transfers.to_host, transfers.to_device
    assert after == before, f"{after[0] - before[0]} copies to the host, {after[1] - before[1]} to the device"
