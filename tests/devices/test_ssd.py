"""A small SSD detector on a device: what is copied, what it learns, what it finds.

Run on the devices of `--device`, by default `emulated`: `pytest tests/devices --device gpu`.
"""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import bicerin
from bicerin.device import get_device

DETECTOR = runpy.run_path(str(Path(__file__).parents[1] / "test_ssd.py"))
SOLVER = """net: "ssd.prototxt" type: "Adam" base_lr: 0.002 momentum: 0.9 momentum2: 0.999 lr_policy: "fixed"
random_seed: 1 test_iter: 1 test_interval: 1000 test_initialization: false"""


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the net and its images. Accesses to memory are looked at in the tests of the layers, one by one."""
    monkeypatch.delenv("BICERIN_EMULATED_CHECK", raising=False)
    monkeypatch.chdir(tmp_path)
    DETECTOR["write_store"](tmp_path)
    (tmp_path / "ssd.prototxt").write_text(DETECTOR["detector"]())


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "name" in metafunc.fixturenames:
        metafunc.parametrize("name", metafunc.config.getoption("--device") or ["emulated"])


def solver(name: str) -> Any:
    return bicerin.Solver(SOLVER, device=name, strict_device=True)


def test_training_copies_nothing_but_the_data(name: str) -> None:
    """After the first iteration: images and objects go to the device, and the loss, a number, is read."""
    made = solver(name)
    made.step(1)
    transfers = get_device(name).transfers
    for _ in range(3):
        before = transfers.to_host, transfers.to_device, transfers.numbers_read
        made.step(1)
        after = transfers.to_host, transfers.to_device, transfers.numbers_read
        assert tuple(np.subtract(after, before)) == (0, 2, 1)


def test_testing_reads_the_detections(name: str) -> None:
    """How many there are, a number, and then they themselves, for DetectionEvaluate."""
    made = solver(name)
    made.step(2)
    test = made.test_nets[0]
    test.share_trained_layers_with(made.net)
    test.run_forward()
    transfers = get_device(name).transfers
    before = transfers.to_host, transfers.to_device, transfers.numbers_read
    test.run_forward()
    after = transfers.to_host, transfers.to_device, transfers.numbers_read
    # The objects of an image are read on the host alone.
    assert tuple(np.subtract(after, before)) == (1, 1, 1)


def test_it_learns_and_finds_as_on_the_cpu(name: str) -> None:
    losses, found = [], []
    for device in ("cpu", name):
        made = solver(device)
        losses.append([])
        for _ in range(8):
            made.step(1)
            losses[-1].append(made.loss)
        test = made.test_nets[0]
        test.share_trained_layers_with(made.net)
        test.run_forward()
        found.append(test.blob("found").read_only.data[0, 0].copy())
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-3)
    assert losses[0][-1] < 0.7 * losses[0][0]
    assert found[0].shape == found[1].shape
    for image in range(int(found[0][-1, 0]) + 1):
        best = [rows[rows[:, 0] == image] for rows in found]
        scores = [np.sort(rows[:, 2]) for rows in best]
        np.testing.assert_allclose(scores[1], scores[0], rtol=2e-2, atol=1e-3)
