"""Faults planted in the layers' own kernels make the suite fail: races, a missing barrier, an access out of bounds.

The suite is run as `tox run -e emulated` runs it, where every access to memory is looked at.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

#: As a pytest plugin: every kernel is compiled from a changed source, which must be there to be changed.
PLANT = """
from bicerin.device import CudaSource

code = CudaSource.code

def planted(self, dtype):
    text = code(self, dtype)
    if {file!r} in [path.name for path in self.paths]:
        assert {right!r} in text
        text = text.replace({right!r}, {wrong!r})
    return text

CudaSource.code = planted
"""

FAULTS = {
    "a scatter without atomics": (
        "inner-product",
        "embed.cu",
        "atomicAdd(&table_diff[(int)row * columns + i % columns], y_diff[i]);",
        "table_diff[(int)row * columns + i % columns] += y_diff[i];",
        "embed.cu:16: add_rows: a race: ",
    ),
    "a missing barrier": (
        "normalization",
        "batch_norm.cu",
        "parts[threadIdx.x] += parts[threadIdx.x + half];\n    __syncthreads();",
        "parts[threadIdx.x] += parts[threadIdx.x + half];\n    ",
        "cuda.cuh:",
    ),
    "a border forgotten": (
        "normalization",
        "lrn.cu",
        "near < min(c + size / 2 + 1, channels)",
        "near < c + size / 2 + 1",
        "out of bounds",
    ),
    "a thread too many": (
        "structure",
        "batch_reindex.cu",
        "i >= (n)) return",
        "i > (n)) return",
        "batch_reindex.cu:5: gather: ",
    ),
}


def run_suite(family: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "plant", "-p", "no:cacheprovider", "--device", "emulated", "-x",
         f"plugins/{family}/tests/test_recorded.py"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(folder), **environment},
        text=True,
        capture_output=True,
    )  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_the_suite_fails(fault: str, tmp_path: Path) -> None:
    family, file, right, wrong, said = FAULTS[fault]
    plant = tmp_path / "plant.py"
    plant.write_text(PLANT.format(file=file, right=right, wrong=wrong))
    done = run_suite(family, tmp_path, BICERIN_EMULATED_CHECK="access")
    assert done.returncode == 1, done.stdout
    assert said in done.stdout
    plant.write_text(PLANT.format(file=file, right=right, wrong=right))
    assert run_suite(family, tmp_path, BICERIN_EMULATED_CHECK="access").returncode == 0


def test_a_missing_barrier_gives_other_results_too(tmp_path: Path) -> None:
    """Without looking at accesses: some order of the threads gives wrong numbers."""
    family, file, right, wrong, _ = FAULTS["a missing barrier"]
    (tmp_path / "plant.py").write_text(PLANT.format(file=file, right=right, wrong=wrong))
    codes = {
        order: run_suite(family, tmp_path, BICERIN_EMULATED_CHECK="", BICERIN_EMULATED_ORDER=order).returncode
        for order in ("forward", "reverse", "shuffled")
    }
    assert 1 in codes.values(), codes
