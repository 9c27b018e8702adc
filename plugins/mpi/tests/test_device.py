"""Nets on a device: their gradients travel by the host or by an emulated NCCL, and are learned from as on the CPU."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import bicerin
from bicerin.device import get_device
from bicerin.parallel import Communicator
from bicerin_mpi.nccl import connect_devices

Run = Callable[..., subprocess.CompletedProcess[str]]
Weights = Callable[..., tuple[np.ndarray, subprocess.CompletedProcess[str]]]
#: Runs `bicerin` where the device `emulated` has an NCCL.
BY_NCCL = Path(__file__).with_name("emulated_nccl.py")
NET = """
layer { name: "data" type: "DummyData" top: "x" top: "y" dummy_data_param {
  shape { dim: 8 dim: 6 } shape { dim: 8 dim: 2 } data_filler { type: "gaussian" } data_filler { type: "uniform" } } }
layer { name: "hidden" type: "InnerProduct" bottom: "x" top: "hidden"
  inner_product_param { num_output: 5 weight_filler { type: "xavier" } } }
layer { name: "out" type: "InnerProduct" bottom: "hidden" top: "out"
  inner_product_param { num_output: 2 weight_filler { type: "xavier" } } }
layer { name: "loss" type: "EuclideanLoss" bottom: "out" bottom: "y" top: "loss" }
"""
SOLVER = """
net: "net.prototxt" base_lr: 0.02 lr_policy: "fixed" momentum: 0.9 max_iter: 4 iter_size: 2 random_seed: 7
snapshot_prefix: "run"
"""


@pytest.fixture
def weights(run: Run, tmp_path: Path) -> Callable[..., tuple[np.ndarray, subprocess.CompletedProcess[str]]]:
    """weights("--device", "cpu"): what two ranks have learned with these options, and what they said."""
    (tmp_path / "net.prototxt").write_text(NET)
    (tmp_path / "solver.prototxt").write_text(SOLVER)

    def weights(*options: str, program: tuple[object, ...] = ()) -> tuple[np.ndarray, subprocess.CompletedProcess[str]]:
        done = run(2, *program, "train", "solver.prototxt", "--parallel", "mpi", *options)
        assert done.returncode == 0, done.stderr
        net = bicerin.Net(tmp_path / "net.prototxt", phase="TRAIN", weights=tmp_path / "run_iter_4.caffemodel")
        return np.concatenate([blob.data.reshape(-1) for blob in net.learnable_params]), done

    return weights


def test_gradients_on_devices_are_averaged_as_on_the_cpu(weights: Weights) -> None:
    """By the host, and by NCCL as they are and in half precision."""
    expected = weights("--device", "cpu")[0]
    found, done = weights("--device", "emulated")
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-7)
    assert "averaged there by MPI: bicerin_emulated.cupy.cuda.nccl does not exist" in done.stderr
    for wire, tolerance in (("float32", 1e-5), ("float16", 1e-2)):
        found, done = weights("--device", "emulated", "--gradients", wire, program=(BY_NCCL,))
        np.testing.assert_allclose(found, expected, rtol=tolerance, atol=1e-7)
        # There is one bucket, and there are four steps.
        assert done.stdout.count("4 sums and 4 broadcasts by NCCL\n") == 2, done.stdout
        assert "copied to the host" not in done.stderr


def test_ranks_of_one_device_do_without_nccl(monkeypatch: pytest.MonkeyPatch) -> None:
    """NCCL refuses them, and would do so late."""

    class Two(Communicator):
        rank, size, local_rank, local_size, machine = 0, 2, 0, 2, "here"
        broadcast = start_all_reduce = gather = abort = None  # type: ignore[assignment]

        def all_gather(self, data: bytes) -> list[bytes]:
            return [data, data]

    device = get_device("emulated")
    monkeypatch.setitem(sys.modules, "bicerin_emulated.cupy.cuda.nccl", SimpleNamespace(available=True))
    assert connect_devices(Two(), device) is None
