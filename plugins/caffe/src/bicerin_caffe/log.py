"""Log lines on standard error, as glog writes them for pycaffe: what Bicerin's nets and solvers say.

`GLOG_minloglevel`, set before `import caffe`, leaves out what is below it: 1 is warnings, 2 errors.
"""

from __future__ import annotations

import getpass
import logging
import os
import platform
import time
from pathlib import Path

from bicerin.cli.messages import Prefixed
from bicerin.log import StderrHandler, has_listener, logger

_LEVELS = (logging.INFO, logging.WARNING, logging.ERROR, logging.CRITICAL)
_log = logging.getLogger("bicerin.caffe")


def show_log() -> None:
    """Write the log to standard error from now on, unless the program already sends it somewhere."""
    if has_listener():
        return
    handler = StderrHandler()
    handler.setFormatter(Prefixed())
    logger.addHandler(handler)
    level = os.environ.get("GLOG_minloglevel", "0")  # noqa: SIM112 - glog's name
    logger.setLevel(_level(int(level) if level.isdecimal() else 0))


def init_log(level: int = 0, stderr: bool = True) -> None:
    """Log from this level on: 0 is everything, 1 warnings, 2 errors, 3 what ends the program."""
    show_log()
    logger.setLevel(_level(level))


def log(message: str) -> None:
    """Write a line to the log."""
    _log.info("%s", message)


def log_to_folder(folder: str | os.PathLike[str], program: str) -> Path:
    """Write the log to a file in a folder too, with the name that glog gives it, and a link `<program>.INFO` to it."""
    when = time.strftime("%Y%m%d-%H%M%S")
    name = f"{program}.{platform.node()}.{getpass.getuser()}.log.INFO.{when}.{os.getpid()}"
    handler = logging.FileHandler(Path(folder) / name, encoding="utf-8")
    handler.setFormatter(Prefixed())
    logger.addHandler(handler)
    link = Path(folder) / f"{program}.INFO"
    link.unlink(missing_ok=True)
    link.symlink_to(name)
    return Path(folder) / name


def _level(number: int) -> int:
    return _LEVELS[min(max(number, 0), len(_LEVELS) - 1)]
