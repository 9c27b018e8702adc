"""`bicerin launch`: several processes on this machine, their signals and their restarts."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mpi_runs import PATIENCE, until

BICERIN = Path(sys.executable).with_name("bicerin")
Launch = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def launch(tmp_path: Path, training: Callable[[str, str, str], None]) -> Launch:
    training("trouble_once", "TroubleOnce", "max_iter: 6 snapshot: 2")

    def launch(*arguments: object, stderr: Any = subprocess.PIPE) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [*map(str, [BICERIN, "launch", *arguments])],
            cwd=tmp_path, text=True, stdout=subprocess.PIPE, stderr=stderr,
        )  # fmt: skip

    return launch


def test_ranks_share_the_processors_and_are_told_apart(
    launch: Launch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("BICERIN_NUM_THREADS")
    (tmp_path / "say.py").write_text("import os; print('threads', os.environ['BICERIN_NUM_THREADS'])")
    out, err = launch("-n", 3, "say.py").communicate(timeout=PATIENCE)
    threads = max(1, len(os.sched_getaffinity(0)) // 3)
    assert sorted(out.splitlines()) == [f"[{rank}] threads {threads}" for rank in range(3)], err


def test_trains(launch: Launch, tmp_path: Path) -> None:
    process = launch("-n", 2, "train", "solver.prototxt", "--iterations", 2)
    err = process.communicate(timeout=PATIENCE)[1]
    assert process.returncode == 0 and "2 ranks x batch 4 x iter_size 1 = 8 images a step" in err, err
    assert all(line.startswith("[") for line in err.splitlines() if line), err
    assert (tmp_path / "run_iter_2.solverstate").is_file()


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 0), (signal.SIGTERM, 128 + signal.SIGTERM)])
def test_a_signal_snapshots_and_stops_once(
    number: signal.Signals, status: int, launch: Launch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TROUBLE", "wait")
    with (tmp_path / "err").open("w") as file:
        process = launch("-n", 2, "--restarts", 2, "train", "solver.prototxt", stderr=file)
    said = tmp_path / "err"
    until((tmp_path / "met").exists)
    process.send_signal(number)
    until(lambda: "snapshot and stop after this iteration" in said.read_text())
    (tmp_path / "go").touch()
    out = process.communicate(timeout=PATIENCE)[0]
    err = said.read_text()
    assert err.count(f"{number.name}: snapshot and stop after this iteration") == 1, err
    # Which iteration the signal meets is the system's affair.
    stopped = re.search(r"stopped at iteration ([345]) of 6", out)
    assert stopped is not None and process.returncode == status, (out, err)
    assert (tmp_path / f"run_iter_{stopped[1]}.solverstate").is_file()


def test_restarts_from_the_last_snapshot(launch: Launch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    unbroken = launch("-n", 2, "train", "solver.prototxt")
    assert unbroken.wait(PATIENCE) == 0
    weights = (tmp_path / "run_iter_6.caffemodel").read_bytes()
    for iteration in (4, 6):
        (tmp_path / f"run_iter_{iteration}.solverstate").unlink()
    # A state of an earlier training is not gone on from.
    (tmp_path / "run_iter_2.solverstate").rename(tmp_path / "run_iter_5.solverstate")

    monkeypatch.setenv("TROUBLE", "SIGKILL")
    process = launch("-n", 2, "--restarts", 2, "train", "solver.prototxt")
    err = process.communicate(timeout=PATIENCE)[1]
    assert process.returncode == 0 and "restart 1 of 2 from run_iter_2.solverstate" in err, err
    assert "restart 2" not in err
    assert (tmp_path / "run_iter_6.caffemodel").read_bytes() == weights


def test_ranks_do_not_outlive_who_launched_them(launch: Launch, tmp_path: Path) -> None:
    process = launch("-n", 2, "train", "solver.prototxt", "--iterations", 1_000_000, stderr=subprocess.DEVNULL)
    until((tmp_path / "run_iter_4.solverstate").exists)
    process.kill()
    process.communicate()
    # The file that says that a training is under way: it ends in good order.
    until(lambda: not (tmp_path / ".run.running").exists())


def test_a_failure_is_not_repeated_for_ever(launch: Launch, tmp_path: Path) -> None:
    (tmp_path / "fail.py").write_text("raise SystemExit(3)")
    process = launch("-n", 2, "--restarts", 1, "fail.py")
    err = process.communicate(timeout=PATIENCE)[1]
    assert process.returncode == 3 and err.count("restart 1 of 1") == 1, err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("check", "net.prototxt"), '"bicerin check" does not run in several processes'),
        (("trane", "solver.prototxt"), 'No such command "trane". Did you mean'),
    ],
)
def test_what_cannot_be_launched_is_refused(arguments: tuple[str, ...], said: str, launch: Launch) -> None:
    process = launch("-n", 2, *arguments)
    err = process.communicate(timeout=PATIENCE)[1]
    assert process.returncode != 0 and said in err


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("#!/bin/sh\necho some other one\n", "some other one"),
        (None, "does not run"),
    ],
)
def test_an_unknown_mpiexec_is_refused(content: str | None, said: str, launch: Launch, tmp_path: Path) -> None:
    other = tmp_path / "mpiexec"
    if content is not None:
        other.write_text(content)
        other.chmod(0o755)
    process = launch("-n", 2, "--mpiexec", other, "train", "solver.prototxt")
    err = process.communicate(timeout=PATIENCE)[1]
    assert process.returncode == 1 and said in err, err
