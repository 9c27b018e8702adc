"""The kernels on blocks with vectors of another length than this processor's, of which LLVM makes several, or parts."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bicerin.kernels import WITH_PANELS

if not WITH_PANELS:
    pytest.skip("the kernels need panels", allow_module_level=True)

PROGRAM = """
import sys
import pytest
from bicerin.kernels import numba_internals
numba_internals.FEATURES = frozenset({features!r})
from bicerin.kernels import panel
assert (panel.ROWS, panel.VECTOR_BYTES) == {shape!r}
sys.exit(pytest.main(["-q", "-x", "-p", "no:cacheprovider", "-k", "odd and channels or stride", {tests!r}]))
"""


@pytest.mark.parametrize(("features", "shape"), [({"avx512f"}, (8, 64)), (set(), (4, 16))], ids=["of 64", "of 16"])
def test_the_products_are_the_same(features: set[str], shape: tuple[int, int], tmp_path: Path) -> None:
    program = PROGRAM.format(features=features, shape=shape, tests=str(Path(__file__).with_name("test_blocked.py")))
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
