"""Runs programs in several processes, with the mpiexec that stands beside this Python."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

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
        return subprocess.run(command(ranks, *arguments), capture_output=True, text=True, timeout=200, cwd=tmp_path)

    return run
