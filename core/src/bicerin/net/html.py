"""A net as a table in HTML, which notebooks show."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from bicerin.net.node import Node
from bicerin_proto.quotation import printable

_HEAD = ("Layer", "Type", "Bottoms", "Tops", "Parameters")


def html_table(title: str, nodes: Iterable[Node]) -> str:
    """The layers in the order in which they run, with the shapes of what they make and learn."""
    rows = [_row("th", _HEAD), *(_row("td", _cells(node)) for node in nodes)]
    return f"<div>{escape(title)}</div><table>{''.join(rows)}</table>"


def _cells(node: Node) -> Iterable[str]:
    yield node.name
    yield node.type
    yield ", ".join(node.bottom_names)
    yield ", ".join(f"{name} {blob.shape}" for name, blob in zip(node.top_names, node.top, strict=False))
    yield ", ".join(str(blob.shape) for blob in node.blobs)


def _row(tag: str, cells: Iterable[str]) -> str:
    return "<tr>" + "".join(f'<{tag} style="text-align: left">{escape(printable(c))}</{tag}>' for c in cells) + "</tr>"
