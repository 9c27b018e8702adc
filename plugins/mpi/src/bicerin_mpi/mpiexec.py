"""The program that starts the ranks: which one, and with what arguments.

The MPIs' own are called `mpiexec`, but take different options.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sysconfig
from collections.abc import Sequence
from pathlib import Path

from bicerin.errors import ParallelError
from bicerin_proto.quotation import printable, system_reason

#: Writes the process's number into a file of the folder $0 that is named like its rank, turns to the pipes of the
#: rank there, and becomes the program "$@".
_BEGIN = 'r=$0/${PMI_RANK:-$OMPI_COMM_WORLD_RANK}; echo $$ > "$r"; exec "$@" > "$r.out" 2> "$r.err"'


def find_mpiexec() -> Path:
    """The `mpiexec` beside this Python, as pip installs it, or else that of the system.

    Raises:
        ParallelError: there is none.
    """
    found = shutil.which("mpiexec", path=sysconfig.get_path("scripts")) or shutil.which("mpiexec")
    if found is None:
        raise ParallelError(
            "there is no mpiexec, neither beside this Python nor on the PATH: pip install 'bicerin-mpi[mpich]' brings "
            "one, or name it with --mpiexec."
        )
    return Path(found)


def mpiexec_command(mpiexec: Path, ranks: int, notes: Path, program: Sequence[str]) -> list[str]:
    """The command line that runs a program in so many processes of this machine.

    Args:
        mpiexec: of MPICH, Intel MPI or Open MPI.
        ranks: how many.
        notes: a folder, in which each rank leaves a file of its name with the number of its process, and writes into
            the pipes that `rank_output` has made.
        program: and its arguments.

    Raises:
        ParallelError: it does not run, or is of another MPI.
    """
    try:
        asked = subprocess.run([mpiexec, "--version"], capture_output=True, text=True, errors="replace", timeout=60)
    except (OSError, subprocess.SubprocessError) as error:
        reason = system_reason(error) if isinstance(error, OSError) else str(error)
        raise ParallelError(f"{printable(str(mpiexec))} does not run: {reason}.") from error
    version = asked.stdout + asked.stderr
    if "Open MPI" in version or "OpenRTE" in version or "PRRTE" in version:
        options = ["--map-by", ":OVERSUBSCRIBE", "--bind-to", "none"]
        if os.geteuid() == 0:
            options.append("--allow-run-as-root")
    elif "HYDRA" in version.upper() or "Intel(R) MPI" in version:
        # Inside of a Slurm job it would start ranks on the job's other machines too.
        options = ["-launcher", "fork", "-hosts", "localhost"]
    else:
        first = printable(version.strip().partition("\n")[0], 100)
        raise ParallelError(
            f'{printable(str(mpiexec))} says of itself "{first}", and is of neither MPICH, Intel MPI nor Open MPI: '
            "start the ranks with it yourself, and give bicerin --parallel mpi."
        )
    return [str(mpiexec), *options, "-n", str(ranks), "/bin/sh", "-c", _BEGIN, str(notes), *program]
