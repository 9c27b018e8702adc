"""A kernel on disk is used only as long as none of its sources has changed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import bicerin
from bicerin.kernels import COMPILED
from bicerin.kernels.sources import stamp

PACKAGE = {
    "own/__init__.py": "",
    "own/factors.py": "from own import offsets\nFACTOR = 2.0\nOFFSET = offsets.OFFSET\n",
    "own/offsets.py": "OFFSET = 1.0\n",
    "own/helper.py": (
        "from bicerin.kernels import part\n"
        "from .factors import (  # a comment\n    FACTOR,\n    OFFSET as ADDED,\n)\n\n"
        "@part\ndef helped(x):\n    return x * FACTOR + ADDED\n"
    ),
    "own/scalar.py": "from bicerin.kernels import formula\n\n@formula\ndef raised(x):\n    return x + 10.0\n",
    "own/apart.py": "NUMBER = 3\n",
    "own/run_kernels.py": (
        "import numpy as np\n"
        "from bicerin.kernels import elementwise, kernel, num_workers, part, piece, pieces, spread\n"
        "from bicerin.kernels.exp import exponential\n"
        "from own.helper import helped\n"
        "if True:\n    from .scalar import raised\n\n"
        "@part\ndef unit_of(unit, worker, x, y):\n"
        "    x, y = piece(x, unit), piece(y, unit)\n"
        "    for i in range(x.size):\n        y[i] = helped(x[i]) + 100 * exponential(x[i])\n\n"
        "@kernel()\ndef run(x, y):\n    spread(unit_of, pieces(x), num_workers(x.size), (x, y))\n\n"
        "def forward_array(xp, x, y):\n    y[...] = x\n\n"
        "@elementwise('x -> y', array=forward_array)\ndef forward(x):\n    return raised(x) * 2.0\n"
    ),
}
PROGRAM = """
import numpy as np
from own.run_kernels import forward, run
x, y, z = np.zeros(9, np.float32), np.empty(9, np.float32), np.empty(9, np.float32)
run(x, y)
forward(x, z)
loaded = [sum(one.stats.cache_hits.values()) for one in (run, forward.host)]
print(y[0], z[0], *loaded)
"""

needs_numba = pytest.mark.skipif(not COMPILED, reason="kernels are not compiled here")


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """The folder that a package of kernels is in."""
    for name, text in PACKAGE.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def run(folder: Path, **settings: str) -> tuple[float, float, bool, bool]:
    """What the two kernels give in a new process, and whether each was loaded."""
    paths = os.pathsep.join([str(folder), *sys.path])
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(folder / "kept"), "PYTHONPATH": paths, **settings}
    environment["PYTHONDONTWRITEBYTECODE"] = "1"  # what Python keeps itself goes by seconds
    done = subprocess.run([sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True, timeout=300)
    first, second, *loaded = done.stdout.split() or [done.stderr]
    return float(first), float(second), *(one == "1" for one in loaded)  # type: ignore[return-value]


def change(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


@needs_numba
def test_a_kernel_is_compiled_anew_when_a_source_has_changed(package: Path) -> None:
    assert run(package) == (101, 20, False, False)
    assert run(package) == (101, 20, True, True)
    own = package / "own"
    change(own / "offsets.py", "1.0", "5.0")  # a constant, two imports away
    change(own / "scalar.py", "10.0", "20.0")  # a formula of which another is made
    assert run(package) == (105, 40, False, False)
    change(own / "apart.py", "3", "4")
    assert run(package) == (105, 40, True, True)
    # Another processor, as where several machines share the folder.
    assert run(package, NUMBA_CPU_NAME="generic") == (105, 40, False, False)


@needs_numba
def test_a_kernel_is_compiled_anew_when_the_machinery_has_changed(package: Path) -> None:
    core = package / "bicerin"
    shutil.copytree(Path(bicerin.__file__).parent, core, ignore=shutil.ignore_patterns("__pycache__"))
    assert run(package) == (101, 20, False, False)
    assert run(package) == (101, 20, True, True)
    change(core / "kernels" / "exp.py", "series * first * second", "series * first * second * _f32(2)")
    assert run(package) == (201, 20, False, False)


def stamp_of(folder: Path, text: str = "") -> str | None:
    """That of a function in a module of the package `own`, which is not among the modules of this process."""
    file = folder / "own" / "run_kernels.py"
    names = {"__name__": "own.run_kernels", "__package__": "own"}
    exec(compile("def run(): pass", str(file), "exec"), names)
    return stamp(names["run"], text)


@pytest.mark.parametrize(("file", "counts"), [(name, name != "own/apart.py") for name in PACKAGE])
def test_what_counts(package: Path, monkeypatch: pytest.MonkeyPatch, file: str, counts: bool) -> None:
    from bicerin.kernels import sources

    monkeypatch.syspath_prepend(str(package))
    sources._files.cache_clear()
    before = stamp_of(package)
    assert stamp_of(package) == before
    with (package / file).open("a") as opened:
        opened.write("# changed\n")
    assert (stamp_of(package) != before) == counts


def test_what_else_it_depends_on_counts(package: Path) -> None:
    assert stamp_of(package, "some text") != stamp_of(package, "another")


def test_what_cannot_be_read_has_no_stamp(tmp_path: Path) -> None:
    assert stamp_of(tmp_path) is None


@needs_numba
def test_a_kernel_without_a_file_runs() -> None:
    program = (
        "from bicerin.kernels import kernel\n"
        "@kernel()\n"
        "def twice(x):\n    return 2 * x\n"
        "print(twice(4), twice.stats.cache_path)\n"
    )
    done = subprocess.run([sys.executable], input=program, capture_output=True, text=True, timeout=100)
    assert done.stdout.split() == ["8", "None"], done.stderr


@needs_numba
def test_where_nothing_can_be_kept(package: Path) -> None:
    """It says so once for a package, and kernels run."""
    (package / "file").write_text("")
    nowhere = {"NUMBA_CACHE_DIR": str(package / "file" / "below"), "HOME": "/proc", "XDG_CACHE_HOME": "/proc"}
    for folder in (package / "own", package):
        (folder / "__pycache__").write_text("not a folder")
    program = (
        "import bicerin.kernels\nfrom own.run_kernels import run\nimport numpy as np\nrun(np.ones(3), np.ones(3))\n"
    )
    environment = {**os.environ, **nowhere, "PYTHONPATH": os.pathsep.join([str(package), *sys.path])}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    (line,) = (line for line in done.stderr.splitlines() if str(package / "own") in line)
    assert "NUMBA_CACHE_DIR" in line
