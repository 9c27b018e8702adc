"""LeNet on real digits: the losses and the accuracy of Caffe 1.0 from the same weights on the same LMDBs."""

import runpy
from pathlib import Path

import numpy as np
import pytest

import bicerin

EXAMPLE = Path(__file__).parent.parent / "examples" / "mnist"
RECORDED = Path(__file__).parent / "recorded" / "lenet"


@pytest.fixture(scope="session")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with train_lmdb and test_lmdb, made by the example's own script."""
    folder = tmp_path_factory.mktemp("digits")
    runpy.run_path(str(EXAMPLE / "make_lmdb.py"))["main"](folder)
    for file in EXAMPLE.glob("*.prototxt"):
        (folder / file.name).write_text(file.read_text())
    (folder / "focal_loss.py").write_text((EXAMPLE / "focal_loss.py").read_text())
    return folder


def test_losses_and_accuracy_are_caffes(digits: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(digits)
    with np.load(RECORDED / "losses.npz") as recorded:
        expected, accuracy = recorded["loss"], float(recorded["accuracy"])
    solver = bicerin.Solver(digits / "lenet_solver.prototxt")
    solver.net.load_weights(RECORDED / "init.caffemodel")
    losses = []
    for _ in range(500):
        losses.append(solver.net.run_forward())
        solver.net.clear_param_diffs()
        solver.net.run_backward()
        solver.apply_update()
    error = np.abs(np.array(losses) / expected - 1)
    # Caffe itself, with its weights changed by 1e-7, drifts by 0.08 % within 50 iterations and by 3 % within 200.
    assert error[:50].max() < 0.005
    assert error[:200].max() < 0.1
    assert solver.test(0)["accuracy"] == pytest.approx(accuracy, abs=0.01)


def test_a_loss_written_in_python_trains(digits: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(digits)
    solver = bicerin.Solver(digits / "lenet_focal_solver.prototxt")
    solver.net.load_weights(RECORDED / "init.caffemodel")
    solver.step(60)
    first = solver.test(0)["accuracy"]
    assert first > 0.85
