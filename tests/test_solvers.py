"""Solvers with real layers: the numbers of Caffe 1.0, going on from its snapshots, and snapshots that survive a kill.

`recorded/solvers/<case>/` holds 12 iterations that Caffe ran: `steps.npz` has the data, label and loss of each, the
parameters after the first (`q0`..) and the last (`p0`..); `snap_iter_6.*` is its snapshot after six.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numba.core.dispatcher import Dispatcher

import bicerin
from bicerin.errors import SnapshotError
from bicerin.solver import update_rules
from bicerin.testing import assert_close

RECORDED = Path(__file__).parent / "recorded" / "solvers"
CASES = sorted(folder.name for folder in RECORDED.iterdir() if folder.is_dir())
ITERATIONS, MIDDLE = 12, 6


@pytest.fixture
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A case in a folder of its own, with the net and the initial weights that all cases have."""
    shutil.copytree(RECORDED / request.param, tmp_path / "case")
    for name in ("net.prototxt", "init.caffemodel"):
        shutil.copyfile(RECORDED / name, tmp_path / "case" / name)
    return tmp_path / "case"


def train(solver: bicerin.Solver, steps: np.lib.npyio.NpzFile, until: int = ITERATIONS) -> list[float]:
    """Run the iterations that are left, on their recorded data; returns their losses."""
    losses = []
    while solver.iteration < until:
        for name in ("data", "label"):
            solver.net.blobs[name].data[...] = steps[name][solver.iteration]
        solver.step(1)
        losses.append(solver.loss)
    return losses


def check_params(solver: bicerin.Solver, steps: np.lib.npyio.NpzFile, prefix: str) -> None:
    for index, blob in enumerate(solver.net.learnable_params):
        assert_close(blob.data, steps[f"{prefix}{index}"], 1e-4, f"{prefix}{index}")


@pytest.mark.parametrize("folder", CASES, indirect=True)
def test_losses_and_parameters_are_caffes(folder: Path) -> None:
    steps = np.load(folder / "steps.npz")
    solver = bicerin.Solver(folder / "solver.prototxt", weights=folder / "init.caffemodel")
    losses = train(solver, steps, until=1)
    check_params(solver, steps, "q")
    losses += train(solver, steps)
    assert_close(np.array(losses), steps["loss"], 1e-4, "losses")
    check_params(solver, steps, "p")


@pytest.mark.parametrize("folder", CASES, indirect=True)
def test_goes_on_from_caffes_snapshot(folder: Path) -> None:
    steps = np.load(folder / "steps.npz")
    solver = bicerin.Solver(folder / "solver.prototxt")
    solver.restore(folder / "snap_iter_6.solverstate")
    assert solver.iteration == MIDDLE
    losses = train(solver, steps)
    assert_close(np.array(losses), steps["loss"][MIDDLE:], 1e-4, "losses")
    check_params(solver, steps, "p")


@pytest.mark.parametrize("snapshot_format", ["BINARYPROTO", "HDF5"])
@pytest.mark.parametrize("folder", ["adam", "sgd_multistep"], indirect=True)
def test_goes_on_bit_for_bit_from_its_own_snapshot(
    folder: Path, snapshot_format: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    steps = np.load("steps.npz")
    text = Path("solver.prototxt").read_text() + f"snapshot_format: {snapshot_format} average_loss: 4\n"
    uninterrupted = bicerin.Solver(text, weights="init.caffemodel")
    train(uninterrupted, steps, until=MIDDLE)
    state = uninterrupted.snapshot()
    expected = train(uninterrupted, steps)
    resumed = bicerin.Solver(text)
    resumed.restore(state)
    assert train(resumed, steps) == expected
    for mine, theirs in zip(resumed.net.learnable_params, uninterrupted.net.learnable_params, strict=True):
        assert np.array_equal(mine.data, theirs.data)


@pytest.mark.parametrize(
    ("folder", "other", "types"),
    [
        ("adam", "adadelta", "Adam, and this one is AdaDelta"),
        ("sgd_fixed", "nesterov", "SGD, and this one is Nesterov"),
    ],
    indirect=["folder"],
)
def test_refuses_the_snapshot_of_another_solver(
    folder: Path, other: str, types: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    state = bicerin.Solver("solver.prototxt").snapshot()
    solver = bicerin.Solver((RECORDED / other / "solver.prototxt").read_text())
    before = [blob.data.copy() for blob in solver.net.learnable_params]
    with pytest.raises(SnapshotError, match=f"a snapshot of the solver {types}"):
        solver.restore(state)
    assert all(np.array_equal(a, b.data) for a, b in zip(before, solver.net.learnable_params, strict=True))


@pytest.mark.parametrize(
    ("rule", "histories", "constants"),
    [
        ("sgd", 1, (0.9,)),
        ("nesterov", 1, (0.9,)),
        ("adagrad", 1, (1e-4,)),
        ("rmsprop", 1, (1e-4, 0.95, 0.05)),
        ("adadelta", 2, (1e-4, 0.95, 0.05)),
        ("adam", 2, (1e-4, 0.9, 0.1, 0.999, 0.001)),
    ],
)
@pytest.mark.parametrize("terms", [(1, 0, 0, 0.1), (0.25, 0.01, 0, 0.1), (1, 0, 0.01, 0.1)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_compiled_rules_equal_array_arithmetic(
    rule: str, histories: int, constants: tuple, terms: tuple, dtype: type
) -> None:
    random = np.random.default_rng(0)
    expected = [random.normal(size=1001).astype(dtype) for _ in range(2 + histories)]
    for history in expected[2:]:
        np.abs(history, out=history)
    expected[0][:3] = 0  # no sign
    actual = [array.copy() for array in expected]
    scalars = [dtype(value) for value in (*terms, *constants)]
    operation = getattr(update_rules, rule)
    operation.array(np, *expected, *scalars)
    operation(*actual, *scalars)
    assert isinstance(operation.host, Dispatcher)
    for mine, theirs in zip(actual, expected, strict=True):
        assert mine.dtype == dtype
        assert np.allclose(mine, theirs, rtol=20 * np.finfo(dtype).eps, atol=20 * np.finfo(dtype).eps)


KILLED = """
import os, signal, sys
import bicerin

solver = bicerin.Solver("solver.prototxt", weights="init.caffemodel")
solver.step(1)
solver.snapshot()
solver.step(1)
calls, fatal = 0, int(sys.argv[1])

def deadly(function):
    def counting(*args, **keywords):
        global calls
        calls += 1
        if calls == fatal:
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*args, **keywords)
    return counting

for name in ("fsync", "replace"):
    setattr(os, name, deadly(getattr(os, name)))
solver.snapshot()
print(calls)
"""


@pytest.mark.parametrize("folder", ["adam"], indirect=True)
def test_a_kill_at_any_moment_leaves_loadable_snapshots(folder: Path) -> None:
    calls = 0
    for fatal in (*range(1, 7), 0):
        for file in folder.glob("snap_iter_[12].*"):
            file.unlink()
        run = subprocess.run(
            [sys.executable, "-c", KILLED, str(fatal)],
            cwd=folder,
            env={**os.environ, "BICERIN_KERNELS": "reference"},  # starts sooner
            capture_output=True,
            text=True,
            check=False,
        )
        assert run.returncode == (-signal.SIGKILL if fatal else 0), run.stderr
        states = {file.name: file for file in folder.glob("snap_iter_[12].solverstate")}
        assert "snap_iter_1.solverstate" in states
        for state in states.values():
            solver = bicerin.Solver(folder / "solver.prototxt")
            solver.restore(state)
            assert state.name == f"snap_iter_{solver.iteration}.solverstate"
        calls = 0 if fatal else int(run.stdout)
    assert calls >= 6, "the kills missed a moment"
