"""What the command line says of an error, and with which exit status it ends."""

from __future__ import annotations

import traceback

import click

from bicerin.errors import BicerinError, UserCodeError
from bicerin_proto.quotation import message_text, visible

INTERRUPTED = 130


def exit_status(error: BaseException) -> int | None:
    """Report an error on standard error. None for one that is a fault of the program: it is left to be raised."""
    if isinstance(error, KeyboardInterrupt):
        click.echo("interrupted", err=True)
        return INTERRUPTED
    if isinstance(error, MemoryError):
        text = f"there is not enough memory{f': {error}' if str(error) else ''}."
    elif isinstance(error, BicerinError):
        text = str(error)
    else:
        return None
    click.echo(f"{click.style('error:', fg='red', bold=True)} {message_text(text)}", err=True)
    if isinstance(error, UserCodeError) and error.__cause__ is not None:
        click.echo(visible(_users_traceback(error.__cause__)), err=True, nl=False)
    return 1


def _users_traceback(error: BaseException) -> str:
    """The lines of a traceback without the frames of Bicerin's own that lead to the user's code."""
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    lines = traceback.extract_tb(error.__traceback__)
    theirs = [line for frame, line in zip(frames, lines, strict=True) if not _is_ours(frame.f_globals["__name__"])]
    return "".join(traceback.format_list(theirs) + traceback.format_exception_only(error))


def _is_ours(module: str) -> bool:
    package = module.partition(".")[0]
    return package == "bicerin" or package.startswith("bicerin_") or package in ("importlib", "_frozen_importlib")
