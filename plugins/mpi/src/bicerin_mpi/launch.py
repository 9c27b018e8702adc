"""Run a command in several processes on this machine, with the mpiexec of the same environment."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from bicerin.cli.options import FILE, verbosity_options
from bicerin_mpi.mpiexec import find_mpiexec, mpiexec_command
from bicerin_mpi.rank_output import rank_output
from bicerin_mpi.resumption import Resumption

_log = logging.getLogger("bicerin.mpi")

_FORWARDED = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]
_BICERIN = [sys.executable, "-c", "from bicerin.cli import main; main()"]


@click.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.option("-n", "ranks", type=click.IntRange(min=1), required=True, help="How many processes.")
@click.option(
    "--restarts",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Begin again so many times when it fails; a training goes on from its last snapshot.",
)
@click.option("--mpiexec", type=FILE, metavar="FILE", help="The mpiexec to use, instead of the one of this Python.")
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED, metavar="COMMAND ARGUMENTS...")
@verbosity_options
@click.pass_context
def launch(ctx: click.Context, ranks: int, restarts: int, mpiexec: str | None, command: tuple[str, ...]) -> None:
    """Run `bicerin COMMAND ARGUMENTS... --parallel mpi` in several processes on this machine.

    COMMAND is one that takes --parallel, such as train, or a program in Python: a file that ends in .py. The processors
    are divided among the processes, unless BICERIN_NUM_THREADS is set. Each line that they write begins with the rank.
    Ctrl-C and SIGTERM let a training snapshot and stop, once, on all ranks.
    """
    program, arguments = command[0], list(command[1:])
    resumption = None
    if program.endswith(".py"):
        start = [sys.executable, program]
    else:
        found = _command(ctx, program)
        start = [*_BICERIN, program]
        if not any(argument.partition("=")[0] == "--parallel" for argument in arguments):
            start += ["--parallel", "mpi"]
        if program == "train" and restarts:
            resumption = Resumption(found, arguments)
    executable = Path(mpiexec) if mpiexec is not None else find_mpiexec()
    environment = _environment(ranks, bool(ctx.find_root().params.get("debug")))
    for restart in range(restarts + 1):
        with tempfile.TemporaryDirectory(prefix="bicerin-launch-") as notes:
            line = mpiexec_command(executable, ranks, Path(notes), [*start, *arguments])
            with rank_output(ranks, Path(notes)):
                status, came = _run(line, environment, Path(notes))
        if status == 0 and came == signal.SIGTERM:
            status = 128 + came  # what whoever sent it expects
        if status == 0 or came is not None or restart == restarts:
            break
        newest = resumption.newest() if resumption is not None else None
        if resumption is not None:
            arguments = resumption.arguments()
        begin = f" from {newest}" if newest is not None else ""
        _log.warning("the ranks ended with the status %d; restart %d of %d%s", status, restart + 1, restarts, begin)
    ctx.exit(status)


def _command(ctx: click.Context, name: str) -> click.Command:
    """The command of this name, which has to be one that runs in several processes."""
    root = ctx.find_root()
    group: Any = root.command
    found: click.Command | None = group.resolve_command(root, [name])[1]
    assert found is not None
    if not any("--parallel" in param.opts for param in found.params):
        raise click.UsageError(f'"bicerin {name}" does not run in several processes: it has no option --parallel.')
    return found


def _environment(ranks: int, debug: bool) -> Mapping[str, str]:
    environment = dict(os.environ)
    if not environment.get("BICERIN_NUM_THREADS"):
        processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        environment["BICERIN_NUM_THREADS"] = str(max(1, processors // ranks))
    if debug:
        environment["BICERIN_DEBUG"] = "1"
    return environment


def _run(command: Sequence[str], environment: Mapping[str, str], notes: Path) -> tuple[int, signal.Signals | None]:
    """Run mpiexec to its end; its exit status, and the first signal that came meanwhile."""
    # A session of its own: Ctrl-C reaches nothing there but by way of this process, and mpiexec would kill all ranks.
    process = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, start_new_session=True)
    with _forwarding(process, notes) as came, _outlived(process, notes):
        status = process.wait()
    return (128 - status if status < 0 else status), next(
        (number for number in came if number in (signal.SIGINT, signal.SIGTERM)), None
    )


@contextlib.contextmanager
def _forwarding(process: subprocess.Popen[bytes], notes: Path) -> Iterator[list[signal.Signals]]:
    """Signals go to rank 0 while the block runs, which tells the others; gives those that came.

    From the third on, and while there is no rank yet, one that ends goes to mpiexec, which kills all ranks.
    """
    came: list[signal.Signals] = []

    def forward(number: int, frame: Any) -> None:
        came.append(signal.Signals(number))
        ends = number != signal.SIGHUP
        if (ends and sum(one != signal.SIGHUP for one in came) > 2) or not _send_to_root(number, notes):
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGTERM)

    before = {number: signal.signal(number, forward) for number in _FORWARDED}
    try:
        yield came
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def _outlived(process: subprocess.Popen[bytes], notes: Path) -> Iterator[None]:
    """Where this process is killed within the block, a shell that lives on asks mpiexec to end: with a SIGTERM, at
    which a training snapshots and stops. Nobody would read what the ranks say, nor know of them.
    """
    end = 'read line || { kill -TERM "$0"; rm -rf -- "$1"; }'
    shell = ["/bin/sh", "-c", end, str(process.pid), str(notes)]
    with subprocess.Popen(
        shell, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    ) as watching:
        try:
            yield
        finally:
            with contextlib.suppress(OSError):
                watching.communicate(b"\n")


def _send_to_root(number: int, notes: Path) -> bool:
    """Whether there was a rank 0 to send a signal to."""
    try:
        os.kill(int((notes / "0").read_text()), number)
    except (OSError, ValueError):
        return False
    return True
