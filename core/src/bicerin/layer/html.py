"""Tables in HTML, which notebooks show."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from bicerin_proto.quotation import printable


def html_table(title: str, head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table with a line above it. Texts may hold names from files: they are escaped."""
    body = "".join(_row("td", row) for row in rows)
    return f"<div>{escape(printable(title, 1000))}</div><table>{_row('th', head) if head else ''}{body}</table>"


def _row(tag: str, cells: Iterable[str]) -> str:
    inside = (f'<{tag} style="text-align: left">{escape(printable(cell, 1000))}</{tag}>' for cell in cells)
    return f"<tr>{''.join(inside)}</tr>"
