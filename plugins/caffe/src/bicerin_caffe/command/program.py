"""What Caffe's programs have in common: the log, the exit status, and Bicerin's commands behind them."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Callable
from typing import Any, NoReturn

import click

from bicerin.cli import messages
from bicerin.cli.failure import exit_status
from bicerin_caffe.log import init_log, log, log_to_folder


def running(program: str, flags: dict[str, Any], command: Callable[[dict[str, Any]], None]) -> NoReturn:
    """Run a program's command with its flags, with log lines on standard error, and exit."""
    sys.exit(_status(program, flags, command))


def _status(program: str, flags: dict[str, Any], command: Callable[[dict[str, Any]], None]) -> int:
    with messages.shown():
        init_log(flags["minloglevel"])
        folder = flags["log_dir"] or os.environ.get("GLOG_log_dir")  # noqa: SIM112 - glog's name
        try:
            if folder:
                log_to_folder(folder, program)
            command(flags)
        except click.ClickException as error:
            error.show()
            return error.exit_code
        except (Exception, KeyboardInterrupt) as error:
            status = exit_status(error)
            if status is None:
                raise
            return status
    return 0


def bicerin_command(name: str, *arguments: str) -> None:
    """Run one of Bicerin's commands; what it prints goes to the log, as all that Caffe's tools say."""
    from bicerin.cli.command_line import command_line

    context = click.Context(command_line, info_name="caffe")
    command = command_line.get_command(context, name)
    assert command is not None
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        command.main(list(arguments), prog_name=name, standalone_mode=False)
    for line in printed.getvalue().splitlines():
        log(line)
