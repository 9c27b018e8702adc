"""Tables on standard output."""

from __future__ import annotations

import sys

from rich import box
from rich.console import Console
from rich.table import Table

#: Wide enough for any table, so that what is piped into a file or a program is not cut.
_UNLIMITED = 10_000


def console() -> Console:
    """Standard output, as wide as the terminal; a file or a pipe has no limit."""
    return Console(highlight=False, markup=False, width=None if sys.stdout.isatty() else _UNLIMITED)


def new_table(*columns: str, right: tuple[str, ...] = (), title: str | None = None) -> Table:
    """A table; the columns in `right` hold numbers."""
    table = Table(box=box.SIMPLE_HEAD, title=title, title_justify="left", show_edge=False, pad_edge=False)
    for column in columns:
        table.add_column(column, justify="right" if column in right else "left", overflow="fold")
    return table
