"""LeNet on digits: two ranks with half the batch each learn what one process learns, and test it together."""

from __future__ import annotations

import json
import runpy
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mpi_runs import PATIENCE

ITERATIONS = 60
EXAMPLE = Path(__file__).parents[3] / "examples" / "mnist"


def events(path: Path, kind: str) -> list[dict[str, Any]]:
    return [event for event in map(json.loads, path.read_text().splitlines()) if event["event"] == kind]


def test_two_ranks_reach_the_accuracy_of_one_process(command: Callable[..., list[str]], tmp_path: Path) -> None:
    runpy.run_path(str(EXAMPLE / "make_lmdb.py"))["main"](tmp_path)
    for name in ("lenet_solver.prototxt", "lenet_train_test.prototxt"):
        shutil.copy(EXAMPLE / name, tmp_path)
    solver = tmp_path / "lenet_solver.prototxt"
    solver.write_text(solver.read_text().replace("test_interval: 100", f"test_interval: {ITERATIONS}"))
    training = ["train", solver.name, "--iterations", ITERATIONS, "--log-json"]
    lines = {
        "alone": command(1, *training, "alone")[3:],
        "together": command(2, *training, "together", "--parallel", "mpi", "--global-batch"),
    }
    losses, tests = {}, {}
    for name, line in lines.items():
        subprocess.run(line, check=True, cwd=tmp_path, timeout=PATIENCE)
        losses[name] = [event["loss"] for event in events(tmp_path / name, "step")]
        tests[name] = [event["results"] for event in events(tmp_path / name, "test")]

    assert len(losses["alone"]) == ITERATIONS
    np.testing.assert_allclose(losses["together"][:20], losses["alone"][:20], rtol=1e-3)
    (before, after), (expected_before, expected_after) = tests["together"], tests["alone"]
    # 15 passes: rank 0 runs eight, rank 1 seven. Before the first step the weights are the same.
    assert before == pytest.approx(expected_before, rel=1e-5)
    assert after["accuracy"] == pytest.approx(expected_after["accuracy"], abs=0.01) and after["accuracy"] > 0.85
