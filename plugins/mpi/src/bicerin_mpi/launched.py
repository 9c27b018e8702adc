"""Whether this process was started as one of several, by what the programs that start them leave in its environment."""

from __future__ import annotations

import os
from collections.abc import Mapping

from bicerin.errors import ParallelError

#: Who starts processes -> the variables with the number of them and with the rank: MPICH and Intel MPI, Open MPI, and
#: Slurm's srun, which starts them for any MPI.
_LAUNCHERS = {
    "mpiexec of MPICH": ("PMI_SIZE", "PMI_RANK"),
    "mpirun of Open MPI": ("OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK"),
    "srun": ("SLURM_STEP_NUM_TASKS", "SLURM_PROCID"),
}

HOW = (
    "Start it as several processes: mpiexec -n 4 bicerin train solver.prototxt --parallel mpi, or in a Slurm job "
    "srun --mpi=pmix bicerin train solver.prototxt --parallel mpi. An mpiexec comes with pip install "
    "'bicerin-mpi[mpich]'."
)


def launched_size(environment: Mapping[str, str] = os.environ) -> tuple[str, int, str] | None:
    """Who started this process, as one of how many, and as which; None where nobody did."""
    for launcher, (size, rank) in _LAUNCHERS.items():
        if environment.get(size, "").isdecimal():
            return launcher, int(environment[size]), environment.get(rank, "?")
    return None


def check_launched(size: int, library: str, environment: Mapping[str, str] = os.environ) -> None:
    """Refuse a process that is alone and was not meant to be.

    Args:
        size: of the world that MPI sees.
        library: the MPI's own name and version.

    Raises:
        ParallelError: says how to start it, or that two MPIs are mixed up.
    """
    if size > 1:
        return
    found = launched_size(environment)
    if found is None:
        raise ParallelError(f"mpi: this process is alone. {HOW}")
    launcher, meant, rank = found
    if meant > 1:
        name = library.partition("\n")[0].strip()
        raise ParallelError(
            f"mpi: {launcher} started this process as rank {rank} of {meant}, but the MPI of this Python ({name}) sees "
            "it alone: they are not of the same MPI. Use the mpiexec of that MPI, or with srun another --mpi=: srun "
            "--mpi=list says which there are."
        )
