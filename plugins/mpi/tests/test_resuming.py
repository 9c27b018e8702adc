"""A training that was killed goes on as if it had not been: the same losses, the same weights."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from mpi_runs import until

Run = Callable[..., subprocess.CompletedProcess[str]]
#: Shuffled images, random data, Dropout and BatchNorm: what each rank has of its own.
NET = """
layer { name: "images" type: "ImageData" top: "image" top: "label"
  image_data_param { source: "list" batch_size: 3 shuffle: true } transform_param { mirror: true scale: 0.01 } }
layer { name: "noise" type: "DummyData" top: "noise" dummy_data_param {
  shape { dim: 3 dim: 3 dim: 6 dim: 6 } data_filler { type: "gaussian" } } }
layer { name: "sum" type: "Eltwise" bottom: "image" bottom: "noise" top: "sum" }
layer { name: "norm" type: "BatchNorm" bottom: "sum" top: "norm" }
layer { name: "first" type: "InnerProduct" bottom: "norm" top: "first"
  inner_product_param { num_output: 10 weight_filler { type: "xavier" } } }
layer { name: "drop" type: "Dropout" bottom: "first" top: "first" }
layer { name: "trouble" type: "Python" bottom: "first" top: "passed"
  python_param { module: "trouble" layer: "Trouble" } }
layer { name: "last" type: "InnerProduct" bottom: "passed" top: "last"
  inner_product_param { num_output: 5 weight_filler { type: "xavier" } } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "last" bottom: "label" top: "loss" }
"""
SOLVER = """
net: "net.prototxt" type: "Adam" base_lr: 0.01 lr_policy: "fixed" momentum: 0.9 max_iter: 6 random_seed: 7
snapshot: 2 snapshot_prefix: "run" test_iter: 3 test_interval: 3
"""
TRAINING = ("train", "solver.prototxt", "--parallel", "mpi", "--log-json", "log")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    (tmp_path / "net.prototxt").write_text(NET)
    (tmp_path / "solver.prototxt").write_text(SOLVER)
    random = np.random.default_rng(2)
    for number in range(11):
        cv2.imwrite(str(tmp_path / f"{number}.png"), random.integers(0, 256, (6, 6, 3), np.uint8))
    (tmp_path / "list").write_text("".join(f"{number}.png {number % 5}\n" for number in range(11)))
    return tmp_path


def losses(folder: Path) -> dict[int, float]:
    """The losses of a log's steps, by iteration."""
    events = map(json.loads, (folder / "log").read_text().splitlines())
    return {event["iteration"]: event["loss"] for event in events if event["event"] == "step"}


def test_killed_and_resumed(
    run: Run, command: Callable[..., list[str]], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unbroken = run(2, *TRAINING)
    assert unbroken.returncode == 0, unbroken.stderr
    expected, weights = losses(folder), (folder / "run_iter_6.caffemodel").read_bytes()
    assert list(expected) == [1, 2, 3, 4, 5, 6]
    for file in ["log", *folder.glob("run_iter_*")]:
        (folder / file).unlink()

    # One rank is killed in its fourth iteration: the other has been through the third, so that the snapshot of the
    # second is there.
    monkeypatch.setenv("TROUBLE", "SIGKILL")
    monkeypatch.setenv("TROUBLE_AT", "4")
    assert run(2, *TRAINING).returncode != 0
    monkeypatch.delenv("TROUBLE")
    monkeypatch.delenv("TROUBLE_AT")
    assert sorted(file.name for file in folder.glob("*.solverstate")) == ["run_iter_2.solverstate"]

    # It goes on, and after the snapshot of the fourth, in the third since then, all are killed at once.
    going_on = subprocess.Popen(
        command(2, *TRAINING, "--resume", "run_iter_2.solverstate"),
        cwd=folder, env={**os.environ, "TROUBLE": "sleep"}, start_new_session=True,
    )  # fmt: skip
    until((folder / "run_iter_4.solverstate").exists)
    os.killpg(going_on.pid, signal.SIGKILL)
    going_on.wait()
    resumed = run(2, *TRAINING, "--resume", "run_iter_4.solverstate")
    assert resumed.returncode == 0, resumed.stderr
    assert losses(folder) == expected
    assert (folder / "run_iter_6.caffemodel").read_bytes() == weights

    other = run(3, *TRAINING, "--resume", "run_iter_4.solverstate")
    assert other.returncode == 0, other.stderr
    assert other.stderr.count("written by 2 ranks, and this run has 3: the order of the data is new") == 1
