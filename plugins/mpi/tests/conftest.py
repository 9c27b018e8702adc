"""Runs programs in several processes, with the mpiexec that stands beside this Python."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from mpi_runs import PATIENCE

#: A net with a layer that meets with trouble.
NET = """
layer {{ name: "data" type: "DummyData" top: "x" top: "y" dummy_data_param {{
  shape {{ dim: 4 dim: 6 }} data_filler {{ type: "gaussian" }}
  shape {{ dim: 4 dim: 2 }} data_filler {{ type: "uniform" }} }} }}
layer {{ name: "first" type: "InnerProduct" bottom: "x" top: "first" inner_product_param {{ num_output: 5
  weight_filler {{ type: "xavier" }} }} }}
layer {{ name: "trouble" type: "Python" bottom: "first" top: "passed"
  python_param {{ module: "{module}" layer: "{layer}" }} }}
layer {{ name: "last" type: "InnerProduct" bottom: "passed" top: "last" inner_product_param {{ num_output: 2
  weight_filler {{ type: "xavier" }} }} }}
layer {{ name: "loss" type: "EuclideanLoss" bottom: "last" bottom: "y" top: "loss" }}
"""
SOLVER = """
net: "net.prototxt" base_lr: 0.01 lr_policy: "fixed" display: 1 random_seed: 7 snapshot_prefix: "run" {more}
"""
MPIEXEC = Path(sys.executable).with_name("mpiexec")


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """One thread a rank, which starts without compiled kernels, and so at once; and no rank of this process's own."""
    monkeypatch.setenv("BICERIN_NUM_THREADS", "1")
    monkeypatch.setenv("BICERIN_KERNELS", "reference")
    for name in list(os.environ):
        if name.startswith(("PMI_", "PMIX_", "OMPI_", "SLURM_", "HYDRA_")):
            monkeypatch.delenv(name)


@pytest.fixture
def command() -> Callable[..., list[str]]:
    """command(ranks, "train", ...): the command line that runs `bicerin`, or a Python file, in so many processes."""

    def command(ranks: int, *arguments: object) -> list[str]:
        program = [sys.executable] if str(arguments[0]).endswith(".py") else [MPIEXEC.with_name("bicerin")]
        return [*map(str, [MPIEXEC, "-n", ranks, *program, *arguments])]

    return command


@pytest.fixture
def run(command: Callable[..., list[str]], tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """run(ranks, "train", ...) or run(ranks, "program.py", ...): runs it to its end, in an empty folder."""

    def run(ranks: int, *arguments: object) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command(ranks, *arguments), capture_output=True, text=True, timeout=PATIENCE, cwd=tmp_path
        )

    return run


@pytest.fixture
def training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str, str], None]:
    """training("trouble", "Trouble", "max_iter: 8"): writes `net.prototxt`, with a layer of that module here, and
    `solver.prototxt`, with what it is to have besides.
    """

    def training(module: str, layer: str, more: str) -> None:
        (tmp_path / "net.prototxt").write_text(NET.format(module=module, layer=layer))
        (tmp_path / "solver.prototxt").write_text(SOLVER.format(more=more))
        monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))

    return training
