"""`--parallel`: a command that runs in several processes, connected by a communicator."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import click

from bicerin.cli.failure import exit_status
from bicerin.log import logger
from bicerin.parallel.communicator import Communicator, communicators, connect
from bicerin.parallel.data_parallel import WIRE_TYPES

#: For how many seconds a rank lets the one before it report an error.
_TURN = 1.5

_Command = TypeVar("_Command", bound=Callable[..., Any])


def parallel_option(command: _Command) -> _Command:
    """`--parallel`, for `connected`."""

    def complete(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
        return [name for name in communicators.providers() if name.startswith(incomplete)]

    return click.option(
        "--parallel",
        metavar="NAME",
        shell_complete=complete,
        help="Run in several processes, connected by this communicator: mpi, of bicerin-mpi.",
    )(command)


def parallel_options(command: _Command) -> _Command:
    """`--parallel`, and how a training is divided."""
    for option in (
        click.option(
            "--watchdog",
            "patience",
            type=click.FloatRange(min=0),
            default=60,
            show_default=True,
            metavar="SECONDS",
            help="End all ranks when one has not moved for so long, or at first five times as long; 0 waits for ever.",
        ),
        click.option("--test-on-root", is_flag=True, help="Test on rank 0 alone, instead of dividing the passes."),
        click.option(
            "--gradients",
            type=click.Choice(WIRE_TYPES),
            default=WIRE_TYPES[0],
            show_default=True,
            help="What gradients travel as between ranks.",
        ),
        click.option(
            "--global-batch", is_flag=True, help="Divide each batch_size among the ranks; by default each has it whole."
        ),
        parallel_option,
    ):
        command = option(command)
    return command


@contextlib.contextmanager
def connected(name: str | None) -> Iterator[Communicator | None]:
    """Connect with the other processes while the block runs; None where no name is given.

    An error in the block is reported with this process's rank, and ends all processes: the others would wait for this
    one for ever. Ranks other than 0 log only errors, and from `net_is_built` on warnings, unless --verbose is given.
    """
    if name is None:
        yield None
        return
    communicator = connect(name)
    prefix = _Prefix(communicator.rank)
    if communicator.rank:
        logger.handlers.insert(0, prefix)
        if logger.level == logging.INFO:
            # What there is to say of the files, rank 0 says.
            logger.setLevel(logging.ERROR)
    try:
        yield communicator
    except BaseException as error:
        if isinstance(error, SystemExit) and not error.code:
            raise
        # What all ranks find wrong, the first one says, and ends the others before they say it again.
        time.sleep(min(communicator.rank, 4) * _TURN)
        click.echo(f"rank {communicator.rank} on {communicator.machine}:", err=True)
        _report(error)
        communicator.abort(1)
    logger.removeHandler(prefix)
    communicator.close()


def net_is_built(communicator: Communicator | None) -> None:
    """The net is built; what is logged from now on is of the rank's own, and warnings of all ranks are shown."""
    if communicator is not None and communicator.rank and logger.level == logging.ERROR:
        logger.setLevel(logging.WARNING)


class _Prefix(logging.Handler):
    """Comes before the handlers that write, and lets records begin with the rank.

    Args:
        rank: this process's.
    """

    def __init__(self, rank: int) -> None:
        super().__init__()
        self._rank = rank

    def emit(self, record: logging.LogRecord) -> None:
        record.msg = f"rank {self._rank}: {record.msg}"


def _report(error: BaseException) -> None:
    import traceback

    debug = click.get_current_context().find_root().params.get("debug")
    if isinstance(error, click.ClickException):
        error.show()
    elif isinstance(error, SystemExit):
        click.echo(f"it ended itself, with the status {error.code}", err=True)
    elif debug or exit_status(error) is None:
        click.echo("".join(traceback.format_exception(error)), err=True, nl=False)
