"""Without the inner parts of Numba kernels are still compiled, and without Numba their references run."""

from __future__ import annotations

import os
import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from bicerin.kernels import WITH_PANELS

if not WITH_PANELS:
    pytest.skip("the inner parts of Numba are not used here", allow_module_level=True)

#: What is done to Numba beforehand, and what the log says of it.
NAME = "import numba.np.ufunc.parallel as found; del found._launch_threads", "no attribute '_launch_threads'"
LACKING = {
    "module": ("import sys, numba; sys.modules['numba.core.callconv'] = None", "numba.core.callconv"),
    "version": ("import numba; numba.__version__ = '0.99.1'", "Numba is 0.99.1, and was tried from 0.61 to 0.68"),
}
PROGRAM = """
import logging, sys
logging.basicConfig(format="LOG %(message)s", level=logging.INFO)
sys.path.insert(0, {folder!r})
import numpy as np
from bicerin.kernels import COMPILED, WITH_PANELS, workers_for
from test_kernels import increment, increment_pieces
from test_kernels_of_formulas import shifted
x = np.arange(100_000, dtype=np.float32)
for function in (increment, increment_pieces, shifted):
    y = np.empty_like(x)
    function(x, y)
    assert (y == x + 1).all()
loaded = sum(increment_pieces.stats.cache_hits.values()) if COMPILED else 0
print(COMPILED, WITH_PANELS, workers_for(1 << 30), loaded)
"""


def run(before: str, cache: os.PathLike[str]) -> tuple[list[str], list[str]]:
    """What a process prints, and its lines in the log."""
    program = f"{before}\n{PROGRAM.format(folder=os.path.dirname(__file__))}"
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(cache), "BICERIN_NUM_THREADS": "2"}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout.split(), [line for line in done.stderr.splitlines() if line.startswith("LOG")]


@pytest.mark.parametrize("lacking", LACKING)
def test_kernels_are_compiled_without_inner_parts(lacking: str, tmp_path: os.PathLike[str]) -> None:
    before, said = LACKING[lacking]
    printed, (line,) = run(before, tmp_path)
    assert printed == ["True", "False", "1", "0"]
    assert said in line and "one thread" in line


def test_they_are_kept_on_disk_all_the_same(tmp_path: os.PathLike[str]) -> None:
    before, said = NAME
    for loaded in ("0", "1"):
        printed, (line,) = run(before, tmp_path)
        assert printed == ["True", "False", "1", loaded]
        assert said in line
    # Those are not taken for kernels that have threads.
    assert run("", tmp_path)[0] == ["True", "True", "2", "0"]


def test_references_run_without_numba(tmp_path: os.PathLike[str]) -> None:
    printed, (line,) = run("import sys; sys.modules['numba'] = None", tmp_path)
    assert printed == ["False", "False", "1", "0"]
    assert "Numba cannot be imported" in line


MODULE = """
from bicerin.kernels import kernel

@kernel()
def twice(x):
    for i in range(x.size):
        x[i] *= 2
"""


def test_what_lies_under_another_overloads_name_is_compiled_anew(tmp_path: Path) -> None:
    """As two processes leave it that have compiled at the same time: the list of one, with a file of the other."""
    module = tmp_path / "module.py"
    module.write_text(MODULE)

    def run() -> list[int]:
        """Load the module, as a process of its own would; how often each overload was loaded from the disk."""
        twice = runpy.run_path(str(module))["twice"]
        for dtype in (np.float32, np.float64):
            x = np.ones(3, dtype)
            twice(x)
            assert x.dtype == dtype and (x == 2).all()
        return [twice.stats.cache_hits[(found,)] for (found,) in twice.signatures]

    assert run() == [0, 0]
    assert run() == [1, 1]
    one, other = (tmp_path / "__pycache__").glob("*.nbc")
    one.write_bytes(other.read_bytes())
    assert sorted(run()) == [0, 1]
    assert run() == [1, 1]
