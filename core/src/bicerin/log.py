r"""The log: what Bicerin and its plugins say under the logger "bicerin".

Who listens is up to the program, as with any library. A handler that comes first does two things for it:

- Names that come from files become printable, for every handler after it: they may be escape sequences that a terminal
  obeys, newlines that look like lines of a log, or a megabyte long.
- Where nobody listens, warnings go to standard error. In a notebook and at a Python prompt everything from INFO on
  does, since a net that compiles or trains without a word looks as if it hung.
  `logging.getLogger("bicerin").setLevel("WARNING")` silences it.
"""

from __future__ import annotations

import logging
import sys
from pathlib import PurePath
from typing import Any

from bicerin_proto.quotation import message_text, printable

logger = logging.getLogger("bicerin")


class StderrHandler(logging.Handler):
    """Writes to whatever `sys.stderr` is at the time: a progress bar replaces it, to keep below the lines."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            sys.stderr.write(message_text(self.format(record)) + "\n")
            sys.stderr.flush()
        except Exception:
            self.handleError(record)


class Bare(logging.Formatter):
    """The message alone; for a warning, the word before it."""

    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        return text if record.levelno < logging.WARNING else f"{record.levelname.lower()}: {text}"


class FirstHandler(StderrHandler):
    """Makes records printable, and writes those that nobody else would."""

    def emit(self, record: logging.LogRecord) -> None:
        if isinstance(record.args, tuple):
            record.args = tuple(map(_printable, record.args))
        if (record.levelno >= logging.WARNING or is_interactive()) and not has_listener(record.name):
            super().emit(record)


def has_listener(name: str = "bicerin") -> bool:
    """Whether the program has a handler for what the logger of that name says."""
    found: logging.Logger | None = logging.getLogger(name)
    while found is not None:
        if any(not isinstance(handler, FirstHandler) for handler in found.handlers):
            return True
        found = found.parent if found.propagate else None
    return False


def _printable(value: Any) -> Any:
    return printable(value, limit=2000) if isinstance(value, (str, PurePath)) else value


def is_interactive() -> bool:
    """Whether somebody is watching: in a notebook, or at a Python prompt."""
    if hasattr(sys, "ps1"):
        return True
    ipython = sys.modules.get("IPython")
    return ipython is not None and ipython.get_ipython() is not None


def set_up() -> None:
    """What `import bicerin` does."""
    handler = FirstHandler()
    handler.setFormatter(Bare())
    logger.addHandler(handler)
    if is_interactive() and logger.level == logging.NOTSET and not has_listener():
        logger.setLevel(logging.INFO)
