"""Trainings survive kills and full disks; processes over large images end with status 0.

A short run; a long one is `tox run -e crash -- --kills 200 --runs 100`.
"""

from __future__ import annotations

import resource
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from crash import BICERIN, Kills, commands, large_images, litter, snapshots, status_of, training


def test_killed_trainings_go_on_bit_for_bit(tmp_path: Path) -> None:
    kills = Kills(tmp_path, seed=1)
    kills.run(6)
    assert kills.rounds >= 1


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return large_images(tmp_path_factory.mktemp("images"))


def test_processes_with_busy_threads_end_with_status_0(images: Path) -> None:
    """Each command once; it was one in one that failed. The long run tries each a hundred times."""
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda command: status_of(command, images), commands(images)))


def run(folder: Path, *arguments: str, most_bytes: int | None = None) -> subprocess.CompletedProcess[str]:
    def limit() -> None:
        if most_bytes is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, most_bytes))

    command = [BICERIN, "--quiet", *arguments]
    return subprocess.run(command, cwd=folder, text=True, capture_output=True, preexec_fn=limit)


def test_a_snapshot_that_does_not_fit_on_the_disk(tmp_path: Path) -> None:
    folder = training(tmp_path / "training", 6, 3)
    done = run(folder, "train", "solver.prototxt", most_bytes=20_000)
    assert done.returncode == 1
    assert "File too large" in done.stderr and "s_iter_3" in done.stderr and "Traceback" not in done.stderr
    assert not snapshots(folder) and not list(folder.glob("s_iter_*")) and litter(folder) == []
    assert run(folder, "train", "solver.prototxt").returncode == 0
    assert [state.name for state in snapshots(folder)] == ["s_iter_3.solverstate", "s_iter_6.solverstate"]


def test_a_snapshot_that_does_not_fit_leaves_the_last_one(tmp_path: Path) -> None:
    folder = training(tmp_path / "training", 6, 3)
    assert run(folder, "train", "solver.prototxt", "--iterations", "3").returncode == 0
    before = {path.name: path.read_bytes() for path in folder.glob("s_iter_*")}
    done = run(folder, "train", "solver.prototxt", "--resume", "s_iter_3.solverstate", most_bytes=20_000)
    assert done.returncode == 1
    assert {path.name: path.read_bytes() for path in folder.glob("s_iter_*")} == before
    assert run(folder, "train", "solver.prototxt", "--resume", "s_iter_3.solverstate").returncode == 0


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_log_on_a_full_disk_does_not_end_a_training(tmp_path: Path) -> None:
    folder = training(tmp_path / "training", 3, 3)
    done = run(folder, "train", "solver.prototxt", "--log-json", "/dev/full")
    assert done.returncode == 0 and "No space left on device" in done.stderr
    assert [state.name for state in snapshots(folder)] == ["s_iter_3.solverstate"]
