"""Layers with code for a device copy nothing to or from the host once they run: Caffe's recorded cases, run twice.

On `emulated`, what CuPy copies unasked is counted too: a number for Python, the size of what a mask chooses.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from bicerin.testing.device_checks import require_no_copies
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

    require_no_copies(run.layer.context.device, pass_through)
