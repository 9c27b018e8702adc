"""Tables on standard output."""

from __future__ import annotations

import re
import sys
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from bicerin_proto.quotation import message_text, printable

#: Wide enough for any table, so that what is piped into a file or a program is not cut.
_UNLIMITED = 10_000


class PrintableConsole(Console):
    """A console whose texts may hold names from files. Lines that go to a file or a program do not end with spaces."""

    def print(self, *objects: Any, **options: Any) -> None:
        objects = tuple(message_text(one) if isinstance(one, str) else one for one in objects)
        if self.is_terminal:
            super().print(*objects, **options)
            return
        with self.capture() as captured:
            super().print(*objects, **options)
        self.file.write(re.sub(r" +$", "", captured.get(), flags=re.MULTILINE))


class PrintableTable(Table):
    """A table whose cells may hold names from files."""

    def add_row(self, *cells: Any, **options: Any) -> None:
        super().add_row(*(printable(cell, 1000) if isinstance(cell, str) else cell for cell in cells), **options)


def console() -> Console:
    """Standard output, as wide as the terminal; a file or a pipe has no limit."""
    return PrintableConsole(highlight=False, markup=False, width=None if sys.stdout.isatty() else _UNLIMITED)


def new_table(*columns: str, right: tuple[str, ...] = (), title: str | None = None) -> Table:
    """A table; the columns in `right` hold numbers."""
    table = PrintableTable(box=box.SIMPLE_HEAD, title=title, title_justify="left", show_edge=False, pad_edge=False)
    for column in columns:
        table.add_column(column, justify="right" if column in right else "left", overflow="fold")
    return table
