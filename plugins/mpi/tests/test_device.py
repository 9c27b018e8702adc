"""Nets on a device: their gradients are copied to the host and back, and the weights come out as on the CPU."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np

import bicerin

Run = Callable[..., subprocess.CompletedProcess[str]]
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


def test_gradients_on_a_device_are_averaged(run: Run, tmp_path: Path) -> None:
    (tmp_path / "net.prototxt").write_text(NET)
    (tmp_path / "solver.prototxt").write_text(SOLVER)
    weights = {}
    for device in ("cpu", "emulated"):
        done = run(2, "train", "solver.prototxt", "--parallel", "mpi", "--device", device)
        assert done.returncode == 0, done.stderr
        net = bicerin.Net(tmp_path / "net.prototxt", phase="TRAIN", weights=tmp_path / "run_iter_4.caffemodel")
        weights[device] = np.concatenate([blob.data.reshape(-1) for blob in net.learnable_params])
    np.testing.assert_allclose(weights["emulated"], weights["cpu"], rtol=1e-5, atol=1e-7)
