"""Whatever happens to one rank, all end, soon, and the message names that rank."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from mpi_runs import errors

BICERIN = Path(sys.executable).with_name("bicerin")
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, training: Callable[[str, str, str], None]) -> Path:
    training("trouble", "Trouble", "max_iter: 8")
    return tmp_path


def failed(done: subprocess.CompletedProcess[str]) -> list[str]:
    """The lines of a run that has failed, without the log's."""
    assert done.returncode != 0, done.stderr
    return [line for line in done.stderr.splitlines() if line and not line.startswith("I")]


def test_an_error_of_a_layer_ends_all(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TROUBLE", "raise")
    lines = failed(run(2, "train", "solver.prototxt", "--parallel", "mpi"))
    assert lines[0].startswith("rank 1 on ") and 'layer "trouble" (Python)' in lines[1], lines
    assert any("no more of this" in line for line in lines)


@pytest.mark.parametrize(
    ("what", "where"),
    [("sleep", 'it runs the forward pass of "trouble"'), ("SIGSTOP", "it does not answer")],
)
def test_a_rank_that_hangs_is_named(what: str, where: str, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TROUBLE", what)
    lines = failed(run(3, "train", "solver.prototxt", "--parallel", "mpi", "--watchdog", 4))
    said = rf'rank 1, process \d+ on \S+, has not reached the gradient of "first" for 4 s: {where}\.'
    assert re.search(said, lines[0]), lines


def test_a_rank_that_hangs_before_the_first_step_is_named(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TROUBLE", "sleep")
    monkeypatch.setenv("TROUBLE_AT", "setup")
    lines = failed(run(2, "train", "solver.prototxt", "--parallel", "mpi", "--watchdog", 0.6))
    assert "rank 1 has not reached the start for 3 s: it does not answer." in lines[0], lines


def test_a_rank_that_is_killed_is_named(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TROUBLE", "SIGKILL")
    lines = failed(run(3, "train", "solver.prototxt", "--parallel", "mpi"))
    # mpiexec may have ended others in the same moment, which are then named too; and those that wait for the rank may
    # notice it before the process that watches.
    killed = r"(rank \d .*)?rank 1 \(process \d+\)( and .*)? (was|were) killed"
    assert re.match(rf"{killed}|rank 1, process \d+ on \S+, has ended; the others cannot go on", lines[0]), lines


def test_a_signal_to_one_rank_stops_all_after_the_same_iteration(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TROUBLE", "SIGTERM")
    done = run(2, "train", "solver.prototxt", "--parallel", "mpi")
    assert "stopped at iteration 3 of 8" in done.stdout, done.stderr
    how = "go on, with 2 ranks again: bicerin train solver.prototxt --parallel mpi --resume run_iter_3.solverstate"
    assert how in done.stdout
    assert (folder / "run_iter_3.solverstate").is_file() and len(list(folder.glob("*.solverstate"))) == 1


@pytest.mark.parametrize(
    ("file", "old", "new", "said"),
    [
        (
            "net.prototxt",
            "num_output: 5",
            "num_output: 6",
            'layer "first": "num_output: 5" on rank 0, "num_output: 6" on',
        ),
        ("solver.prototxt", "0.01", "0.02", 'the solver\'s base_lr: "0.01" on rank 0, "0.02" on rank 1'),
        ("net.prototxt", 'bottom: "x" top: "first"', 'bottom: "x"', "rank 1 on "),
    ],
)
def test_a_rank_that_was_given_something_else_is_named(
    file: str, old: str, new: str, said: str, run: Run, folder: Path
) -> None:
    other = folder / "other"
    other.mkdir()
    for name in ("net.prototxt", "solver.prototxt"):
        text = (folder / name).read_text()
        (other / name).write_text(text.replace(old, new) if name == file else text)
    training = ["train", "solver.prototxt", "--parallel", "mpi"]
    second = [":", "-n", 1, "-wdir", other, BICERIN, *training]
    done = run(1, *training, *second)
    lines = failed(done)
    assert any(said in line for line in lines[:2]), lines
    assert len(errors(done)) == 1, "nothing else is said"
