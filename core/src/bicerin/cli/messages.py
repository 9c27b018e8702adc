"""Log messages on standard error: bare lines on a terminal, and elsewhere with the prefix that Caffe's logs have.

Tools made for Caffe's logs (`I0521 12:30:45.123456  4242 solver.cpp:218] Iteration 0, ...`) then read ours.
"""

from __future__ import annotations

import contextlib
import logging
import sys
import time
from collections.abc import Iterator

_LETTERS = {logging.DEBUG: "I", logging.INFO: "I", logging.WARNING: "W", logging.ERROR: "E", logging.CRITICAL: "F"}

logger = logging.getLogger("bicerin")


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
    handler.setFormatter(_Bare() if sys.stderr.isatty() else Prefixed())
    if logger.level == logging.NOTSET:  # else --quiet or --verbose has set it
        logger.setLevel(logging.INFO)
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(logging.NOTSET)


#: Control characters but newline and tab: a terminal would obey them.
_CONTROL = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160)) if chr(code) not in "\n\t"}


def visible(text: str) -> str:
    """The text with its control characters shown: names come from files of strangers."""
    return text.translate(_CONTROL)


class StderrHandler(logging.Handler):
    """Writes to whatever `sys.stderr` is at the time: a progress bar replaces it, to keep below the lines."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            sys.stderr.write(visible(self.format(record)) + "\n")
            sys.stderr.flush()
        except Exception:
            self.handleError(record)


class _Bare(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        return text if record.levelno < logging.WARNING else f"{record.levelname.lower()}: {text}"


class Prefixed(logging.Formatter):
    """The prefix of glog, which Caffe's logs have."""

    def format(self, record: logging.LogRecord) -> str:
        letter = _LETTERS.get(record.levelno, "I")
        when = time.strftime("%m%d %H:%M:%S", time.localtime(record.created))
        microseconds = int(record.created % 1 * 1e6)
        place = f"{record.filename}:{record.lineno}"
        return f"{letter}{when}.{microseconds:06d} {record.process or 0:5d} {place}] {super().format(record)}"
