"""Log messages on standard error: bare lines on a terminal, and elsewhere with the prefix that Caffe's logs have.

Tools made for Caffe's logs (`I0521 12:30:45.123456  4242 solver.cpp:218] Iteration 0, ...`) then read ours.
"""

from __future__ import annotations

import contextlib
import logging
import sys
import time
from collections.abc import Iterator

from bicerin.log import Bare, StderrHandler, logger

_LETTERS = {logging.DEBUG: "I", logging.INFO: "I", logging.WARNING: "W", logging.ERROR: "E", logging.CRITICAL: "F"}


def is_quiet() -> bool:
    """Whether only warnings are wanted."""
    return not logger.isEnabledFor(logging.INFO)


def is_verbose() -> bool:
    """Whether everything is wanted."""
    return logger.isEnabledFor(logging.DEBUG)


@contextlib.contextmanager
def shown() -> Iterator[None]:
    """Show what Bicerin logs while the block runs."""
    handler = StderrHandler()
    handler.setFormatter(Bare() if sys.stderr.isatty() else Prefixed())
    if logger.level == logging.NOTSET:  # else --quiet or --verbose has set it
        logger.setLevel(logging.INFO)
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(logging.NOTSET)


class Prefixed(logging.Formatter):
    """The prefix of glog, which Caffe's logs have."""

    def format(self, record: logging.LogRecord) -> str:
        letter = _LETTERS.get(record.levelno, "I")
        when = time.strftime("%m%d %H:%M:%S", time.localtime(record.created))
        microseconds = int(record.created % 1 * 1e6)
        place = f"{record.filename}:{record.lineno}"
        return f"{letter}{when}.{microseconds:06d} {record.process or 0:5d} {place}] {super().format(record)}"
