"""The communicator itself, and how a process is told that it was not started as one of several."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from mpi_runs import PATIENCE

from bicerin.errors import ParallelError
from bicerin_mpi.communicator import machine_names
from bicerin_mpi.launched import check_launched

Run = Callable[..., subprocess.CompletedProcess[str]]
PROGRAM = Path(__file__).with_name("check_communicator.py")


@pytest.mark.parametrize("ranks", [1, 3])
def test_it_does_what_a_communicator_does(ranks: int, run: Run) -> None:
    done = run(ranks, PROGRAM)
    assert done.stdout == f"MpiCommunicator(rank 0 of {ranks}, {os.uname().nodename}) is all right\n", done.stderr
    assert not done.stderr and not done.returncode


def test_an_exception_of_a_program_ends_all_ranks(run: Run) -> None:
    done = run(3, PROGRAM, "not this time")
    assert done.returncode != 0
    assert done.stderr.startswith("rank 1 on ") and "ValueError: not this time" in done.stderr


def alone(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    line = [str(Path(sys.executable).with_name("bicerin")), "train", "solver.prototxt", *arguments]
    return subprocess.run(line, capture_output=True, text=True, timeout=PATIENCE, env={**os.environ, **environment})


def test_a_lone_process_is_told_how_to_start_several() -> None:
    done = alone("--parallel", "mpi")
    assert done.returncode == 1
    assert done.stderr.startswith(
        "error: mpi: this process is alone. Start it as several processes: mpiexec -n 4 bicer"
    )


def test_without_bicerin_mpi_it_is_said_what_to_install() -> None:
    done = alone("--parallel", "mpi", BICERIN_DISABLE_PLUGINS="bicerin-mpi")
    assert done.returncode == 1
    assert 'unknown communicator "mpi"' in done.stderr and "pip install bicerin-mpi" in done.stderr


def test_without_an_mpi_it_is_said_what_to_install(tmp_path: Path) -> None:
    # mpi4py's own way to be told which library to load.
    done = alone("--parallel", "mpi", MPI4PY_LIBMPI=str(tmp_path / "libmpi.so"))
    assert done.returncode == 1
    assert "mpi4py finds no MPI" in done.stderr and "pip install 'bicerin-mpi[mpich]'" in done.stderr


def test_who_does_not_ask_for_it_imports_nothing_of_it() -> None:
    code = """
import sys, bicerin
net = '''layer { name: "in" type: "Input" top: "x" top: "y" input_param { shape { dim: 2 dim: 3 } } }
layer { name: "ip" type: "InnerProduct" bottom: "x" top: "p" inner_product_param { num_output: 3 } }
layer { name: "loss" type: "EuclideanLoss" bottom: "p" bottom: "y" top: "loss" }'''
bicerin.Solver("net_param { %s } base_lr: 0.1 lr_policy: 'fixed' max_iter: 2" % net).step(2)
import bicerin.cli.train
print(sorted(name for name in sys.modules if name.startswith(("mpi4py", "bicerin_mpi"))))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=PATIENCE)
    assert done.stdout == "[]\n", done.stderr


def test_options_for_several_processes_need_several() -> None:
    done = alone("--global-batch")
    assert done.returncode == 2 and "go with --parallel" in done.stderr


def test_machines_of_one_name_are_told_apart() -> None:
    """The numbers of their processes say nothing to each other, so that none is taken for dead."""
    found = [["node1", 0, 7], ["node2", 1, 7], ["node1", 0, 7], ["node2", 3, 7], ["node2", 1, 8]]
    second = "node2 (#{} of that name)"
    assert machine_names(found) == ["node1", second.format(1), "node1", second.format(2), second.format(3)]


class TestLaunched:
    def test_several_are_several(self) -> None:
        check_launched(2, "MPICH", {})

    def test_one_of_one_is_what_was_asked_for(self) -> None:
        check_launched(1, "MPICH", {"PMI_SIZE": "1", "PMI_RANK": "0"})

    @pytest.mark.parametrize(
        ("environment", "launcher"),
        [
            ({"PMI_SIZE": "4", "PMI_RANK": "2"}, "mpiexec of MPICH"),
            ({"OMPI_COMM_WORLD_SIZE": "4", "OMPI_COMM_WORLD_RANK": "2"}, "mpirun of Open MPI"),
            ({"SLURM_STEP_NUM_TASKS": "4", "SLURM_PROCID": "2"}, "srun"),
        ],
    )
    def test_two_mpis_that_are_mixed_up(self, environment: dict[str, str], launcher: str) -> None:
        said = (
            rf"{launcher} started this process as rank 2 of 4, but the MPI of this Python \(Other 1\.0\) sees it alone"
        )
        with pytest.raises(ParallelError, match=said):
            check_launched(1, "Other 1.0\nmore", environment)
